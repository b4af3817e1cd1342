/**
 * The store as the copier uses it: it reads from the reader, or else the writer, and writes to the writer.
 */
import { getBlob, headBlob, type OpenedBlob } from '../../registry/client/blobs.ts';
import { getManifest, putManifest, type VerifiedManifest } from '../../registry/client/manifests.ts';
import { allTags, listReferrers, type ReferrerJson } from '../../registry/client/listing.ts';
import { RepositoryClient } from '../../registry/client/repository-client.ts';
import { cancelUpload, mountBlob, uploadBlob } from '../../registry/client/upload.ts';
import { isIncomplete } from '../../registry/copy/put-manifest.ts';
import { removeImage, type RemovalTarget } from '../../registry/copy/remove-image.ts';
import type { Digest } from '../../registry/core/digest.ts';
import type { ManifestReference } from '../../registry/core/distribution-path.ts';
import { isOutage, RegistryError, toRegistryError, type Reason } from '../../registry/core/errors.ts';
import type { Deadlines } from '../../registry/transport/http/messages.ts';
import type { StoreEndpoint } from '../../registry/transport/store-endpoint.ts';
import type { Transport } from '../../registry/transport/transport.ts';
import type { CircuitBreaker } from '../../platform/circuit-breaker.ts';
import type { BlobKey } from '../blob-sink.ts';
import type { BlobStore, ManifestStore } from './content-store.ts';
import { UpstreamFailure } from '../upstream/upstream-failure.ts';

/** One of the store's two instances. */
interface StoreSide extends StoreEndpoint {
  readonly name: 'reader' | 'writer';
}

export interface StoreOptions {
  readonly transport: Transport;
  readonly reader: StoreSide;
  readonly writer: StoreSide;
  readonly breaker: CircuitBreaker;
  /** Milliseconds of a clock that never jumps. */
  readonly now: () => number;
  /** How long one side may take to answer a read, in milliseconds. */
  readonly headMs: number;
}

export class Store implements ManifestStore, BlobStore {
  readonly #options: StoreOptions;

  constructor(options: StoreOptions) {
    this.#options = options;
  }

  /** A client that may write. */
  writer(repository: string): RepositoryClient {
    return this.#client(this.#options.writer, repository);
  }

  /** A client that may only read; it works while the writer is away, too. */
  reader(repository: string): RepositoryClient {
    return this.#client(this.#options.reader, repository);
  }

  async getManifest(
    repository: string,
    reference: ManifestReference,
    signal: AbortSignal,
  ): Promise<VerifiedManifest | undefined> {
    return this.#read(repository, (client) => absent(getManifest(client, reference, { signal })));
  }

  async putManifest(
    repository: string,
    reference: ManifestReference,
    manifest: VerifiedManifest,
    signal: AbortSignal,
  ): Promise<void> {
    await putManifest(this.writer(repository), reference, manifest, signal).catch(rethrow);
  }

  async tags(repository: string, signal: AbortSignal): Promise<readonly string[]> {
    return this.#read(repository, (client) => allTags(client, signal));
  }

  async referrers(repository: string, digest: Digest, signal: AbortSignal): Promise<readonly ReferrerJson[]> {
    return this.#read(repository, (client) => listReferrers(client, digest, signal));
  }

  /** Deletes a tag, and the manifests that no other tag leads to. @throws RegistryError */
  async remove(repository: string, target: RemovalTarget, signal: AbortSignal): Promise<void> {
    await removeImage(this.writer(repository), target, signal).catch(rethrow);
  }

  async headBlob(
    { repository, digest }: BlobKey,
    signal: AbortSignal,
  ): Promise<{ size: number | undefined } | undefined> {
    return this.#read(repository, (client) => headBlob(client, digest, signal));
  }

  async hasBlob(key: BlobKey, signal: AbortSignal): Promise<boolean> {
    return (await this.headBlob(key, signal)) !== undefined;
  }

  async openBlob(
    repository: string,
    digest: Digest,
    { offset, signal }: { offset: number; signal: AbortSignal },
  ): Promise<OpenedBlob | undefined> {
    return this.#read(repository, (client) => absent(getBlob(client, digest, { offset, signal })));
  }

  async put(
    { repository, digest }: BlobKey,
    size: number | undefined,
    body: AsyncIterable<Uint8Array>,
    signal: AbortSignal,
  ): Promise<void> {
    await uploadBlob(this.writer(repository), { digest, size, body, signal }).catch(rethrow);
  }

  /**
   * Links a blob of another repository. The caller decides whether this one may have it (docs/adr/0008).
   * @returns whether it is there now
   */
  async mount({ repository, digest }: BlobKey, from: string, signal: AbortSignal): Promise<boolean> {
    const client = this.writer(repository);
    const source = this.#options.writer.prefix + from;
    const mount = await mountBlob(client, digest, source, signal).catch(rethrow);
    if (!mount.mounted) await cancelUpload(client, mount.location);
    return mount.mounted;
  }

  /** Both sides have the same content, so that the second is asked only when the first cannot answer. */
  async #read<T>(repository: string, attempt: (client: RepositoryClient) => Promise<T>): Promise<T> {
    const { breaker, headMs, now, reader, writer } = this.#options;
    const sides = breaker.request(reader.name, now()) === 'deny' ? [writer, reader] : [reader, writer];
    let failure: unknown;
    for (const side of sides) {
      try {
        const result = await attempt(this.#client(side, repository, { headMs }));
        breaker.succeeded(side.name);
        return result;
      } catch (error) {
        const why = toRegistryError(error);
        if (why.reason === 'Canceled') throw error;
        if (isOutage(why)) breaker.failed(side.name, now());
        failure ??= error;
      }
    }
    return rethrow(failure);
  }

  #client(
    { url: { origin }, prefix, authenticator }: StoreSide,
    name: string,
    deadlines: Partial<Deadlines> = {},
  ): RepositoryClient {
    const { transport } = this.#options;
    return new RepositoryClient({ transport, origin, repository: prefix + name, authenticator, deadlines });
  }
}

async function absent<T>(found: Promise<T>): Promise<T | undefined> {
  try {
    return await found;
  } catch (error) {
    if (error instanceof RegistryError && error.reason === 'NotFound') return undefined;
    throw error;
  }
}

/** Reasons that say already whose failure it is. */
const CLEAR_REASONS: readonly Reason[] = [
  'StoreFull',
  'StoreUnavailable',
  'DigestMismatch',
  'Canceled',
  'Internal',
];

/** Marks a failure as the store's, unless upstream or a client ended the transfer into it. */
export function toStoreFailure(thrown: unknown): RegistryError {
  const error = toRegistryError(thrown);
  if (error instanceof UpstreamFailure || CLEAR_REASONS.includes(error.reason)) return error;
  return new RegistryError(`the store failed: ${error.message}`, {
    reason: 'StoreUnavailable',
    code: isIncomplete(error) ? error.code : 'UNAVAILABLE',
    cause: error,
  });
}

function rethrow(thrown: unknown): never {
  throw toStoreFailure(thrown);
}
