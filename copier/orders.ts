/** The controller's orders: copy an image into the store, check it upstream, verify it in the store, delete it there. */
import type {
  CheckAnswerJson,
  CheckOrder,
  CopyEventJson,
  CopyOrder,
  DeleteOrder,
  VerifyAnswerJson,
  VerifyOrder,
} from '../api/copier-api.ts';
import { encodeCachedName, storeTag, type CachedName } from '../registry/core/cached-name.ts';
import type { Digest } from '../registry/core/digest.ts';
import type { ManifestReference } from '../registry/core/distribution-path.ts';
import { RegistryError, toRegistryError } from '../registry/core/errors.ts';
import { formatPlatform } from '../registry/core/platform.ts';
import type { Reference } from '../registry/core/reference.ts';
import { copyImage, type CopiedImage, type CopyOptions } from '../registry/copy/copy-image.ts';
import { copyReferrers, type CopyReferrersOptions } from '../registry/copy/copy-referrers.ts';
import type { CopyProgress } from '../registry/copy/progress.ts';
import { verifyImage } from '../registry/copy/verify-image.ts';
import type { Blobs } from './blobs.ts';
import { SpoolFull } from './spool.ts';
import type { Keyring } from './keyring.ts';
import type { Manifests, PullTarget } from './manifests.ts';
import type { UpstreamRepository } from './repositories.ts';
import { toStoreFailure, type Store } from './store.ts';
import { followFlight } from './transfer.ts';

export interface OrdersOptions {
  readonly store: Store;
  readonly blobs: Blobs;
  readonly manifests: Manifests;
  readonly keyring: Keyring;
  readonly upstream: (
    target: PullTarget,
    reference: string | undefined,
    signal: AbortSignal,
  ) => Promise<UpstreamRepository>;
  /** Blobs of one image that are fetched side by side. */
  readonly parallelBlobs: number;
}

interface OrderedImage {
  readonly image: Reference;
  readonly tenant?: string | undefined;
}

interface Ordered {
  readonly target: PullTarget;
  /** What upstream is asked for. */
  readonly reference: ManifestReference;
  /** Under which the store has it. */
  readonly tag: string;
}

export class Orders {
  readonly #options: OrdersOptions;

  constructor(options: OrdersOptions) {
    this.#options = options;
  }

  /** Copies an image. Never throws: the last event says how it ended. */
  async copy(
    order: CopyOrder,
    onProgress: (progress: CopyProgress) => void,
    signal: AbortSignal,
  ): Promise<CopyEventJson> {
    const { store, blobs, manifests, parallelBlobs } = this.#options;
    try {
      const { target, reference, tag } = this.#understand(order);
      const upstream = await this.#upstream(target, reference, signal);
      const wanted = new Set<Digest>();
      const options = {
        destination: store.writer(target.repository),
        readManifest: (named, readSignal) =>
          'digest' in named ? manifests.fetch(target, named.digest) : upstream.getManifest(named, readSignal),
        transferBlob: async ({ digest }, report, blobSignal) => {
          // What is wanted once more was lost after it was linked.
          const isFirst = !wanted.has(digest);
          wanted.add(digest);
          if (isFirst && (await blobs.adopt(target, digest, blobSignal))) return;
          await followFlight(blobs.transfer(target, digest), report, blobSignal);
        },
        concurrency: parallelBlobs,
        signal,
      } satisfies Partial<CopyOptions>;
      const { referrers = false } = order;
      const selection = { platforms: order.platforms, attestations: referrers };
      const copied = await copyImage({ ...options, reference, tag, selection, onProgress });
      const { digest, sizeBytes, platforms } = copied;
      const attached = referrers ? await copyAttached(copied, upstream, options) : {};
      return { type: 'done', digest, sizeBytes, platforms: platforms.map(formatPlatform), ...attached };
    } catch (error) {
      return { type: 'failed', ...describe(error) };
    }
  }

  /** Asks upstream for the digest that the image has now. Never throws. */
  async check(order: CheckOrder, signal: AbortSignal): Promise<CheckAnswerJson> {
    try {
      const { target, reference } = this.#understand(order);
      const upstream = await this.#upstream(target, reference, signal);
      const digest = await upstream.headManifest(reference, signal);
      return {
        upstream: 'Available',
        digest: digest ?? (await upstream.getManifest(reference, signal)).digest,
      };
    } catch (error) {
      return { upstream: 'Unavailable', ...describe(error) };
    }
  }

  /** Asks the store only. @throws RegistryError when it cannot be asked */
  async verify(order: VerifyOrder, signal: AbortSignal): Promise<VerifyAnswerJson> {
    const { target, tag } = this.#understand({ ...order, pullSecrets: [] });
    const { store } = this.#options;
    const verification = await verifyImage(
      store.reader(target.repository),
      { tag },
      { platforms: order.platforms },
      signal,
    );
    return verification.complete
      ? { ...verification, platforms: verification.platforms.map(formatPlatform) }
      : { complete: false, missing: [...verification.missing] };
  }

  /** Deletes our tag or anchor, and the manifests that only it led to. @throws RegistryError */
  async delete(order: DeleteOrder, signal: AbortSignal): Promise<void> {
    const { target, tag } = this.#understand({ ...order, pullSecrets: [] });
    await this.#options.store.remove(target.repository, { tag, digest: order.image.digest }, signal);
  }

  #understand(order: OrderedImage & { readonly pullSecrets: readonly string[] }): Ordered {
    const { image, pullSecrets } = order;
    const { digest, tag } = image;
    const cached = cachedName(order);
    this.#options.keyring.learn(cached, pullSecrets);
    return {
      target: { repository: encodeCachedName(cached), cached },
      reference: digest === undefined ? { tag: tag ?? 'latest' } : { digest },
      tag: storeTag(image),
    };
  }

  async #upstream(
    target: PullTarget,
    reference: ManifestReference,
    signal: AbortSignal,
  ): Promise<UpstreamRepository> {
    return this.#options.upstream(target, 'tag' in reference ? reference.tag : reference.digest, signal);
  }
}

/** An image that cannot be shown to be signed is still one that pods need. */
async function copyAttached(
  { manifests }: CopiedImage,
  upstream: UpstreamRepository,
  options: Omit<CopyReferrersOptions, 'subjects' | 'listSource'>,
): Promise<{ referrers: number } | { referrersFailure: string }> {
  const listSource: CopyReferrersOptions['listSource'] = (subject, signal) =>
    upstream.referrers(subject, signal);
  try {
    return { referrers: await copyReferrers({ ...options, subjects: manifests, listSource }) };
  } catch (error) {
    options.signal.throwIfAborted();
    return { referrersFailure: describe(error).message };
  }
}

/** The repository of the store that an order is about. */
export function repositoryOf(order: OrderedImage): string {
  return encodeCachedName(cachedName(order));
}

function cachedName({ image: { host, repository }, tenant }: OrderedImage): CachedName {
  return { host, repository, ...(tenant === undefined ? {} : { tenant }) };
}

interface FailureJson {
  reason: RegistryError['reason'];
  message: string;
  retryAfterSeconds?: number;
}

function describe(thrown: unknown): FailureJson {
  const error = thrown instanceof SpoolFull ? spoolFull(thrown) : ofImageOrStore(toRegistryError(thrown));
  const { reason, message, retryAfterSeconds } = error;
  return { reason, message, ...(retryAfterSeconds === undefined ? {} : { retryAfterSeconds }) };
}

/** Upstream's failures are marked as such; what remains is wrong with the image itself, or is the store's. */
function ofImageOrStore(error: RegistryError): RegistryError {
  const ofImage =
    error.reason === 'NotFound' || (error.reason === 'Invalid' && error.code !== 'MANIFEST_BLOB_UNKNOWN');
  return ofImage ? error : toStoreFailure(error);
}

function spoolFull(cause: SpoolFull): RegistryError {
  return new RegistryError("the copier's own disk space is used up", { reason: 'StoreFull', cause });
}
