/**
 * Blobs that several repositories have, such as the layers of a base image. The store gets a repository of
 * our own for public names, and one for each namespace; they hold no images, only links to all blobs that
 * were fetched. From there a blob is linked into the next repository that needs it (docs/adr/0008).
 */
import { sharedBlobsRepository } from '../../api/shared-blobs.ts';
import { decodeCachedName } from '../../registry/core/cached-name.ts';
import type { Logger } from '../../platform/log.ts';
import type { BlobKey } from '../blob-sink.ts';
import { SingleFlight } from '../../platform/single-flight.ts';
import { putSelfTestImage } from './self-test-image.ts';
import type { Store } from './store.ts';

export interface SharedBlobsOptions {
  readonly store: Pick<Store, 'hasBlob' | 'mount' | 'put' | 'putManifest'>;
  readonly log: Logger;
  /** Ends what outlives a single request. */
  readonly signal: AbortSignal;
}

/**
 * Whether one repository may be given what was fetched for another: all may have public content, a
 * namespace's stays in that namespace.
 */
export function maySee(repository: string, other: string): boolean {
  const { tenant } = decodeCachedName(other);
  return tenant === undefined || tenant === decodeCachedName(repository).tenant;
}

/** No method throws: a repository can always fetch what it needs by itself. */
export class SharedBlobs {
  readonly #options: SharedBlobsOptions;
  readonly #prepared = new Set<string>();
  readonly #preparing = new SingleFlight<void>();

  constructor(options: SharedBlobsOptions) {
    this.#options = options;
  }

  /**
   * The repository of shared blobs from which the blob may be linked; undefined when none has it, or the
   * store cannot tell.
   */
  async find({ repository, digest }: BlobKey, signal: AbortSignal): Promise<string | undefined> {
    const { store, log } = this.#options;
    const { tenant } = decodeCachedName(repository);
    const candidates = [undefined, ...(tenant === undefined ? [] : [tenant])].map(sharedBlobsRepository);
    try {
      const found = await Promise.all(
        candidates.map((candidate) => store.hasBlob({ repository: candidate, digest }, signal)),
      );
      return candidates.find((_, index) => found[index]);
    } catch (error) {
      log.debug('store cannot be asked for shared blobs', { digest, error });
      return undefined;
    }
  }

  /** Links a blob into a repository that may have it. @returns whether it is there now */
  async link(key: BlobKey, from: string, signal: AbortSignal): Promise<boolean> {
    const { store, log } = this.#options;
    try {
      return await store.mount(key, from, signal);
    } catch (error) {
      log.info('shared blob was not linked', { ...key, from, error });
      return false;
    }
  }

  /** Shares a blob that a repository has got. */
  async add({ repository, digest }: BlobKey): Promise<void> {
    const { log, signal } = this.#options;
    const shared = sharedBlobsRepository(decodeCachedName(repository).tenant);
    try {
      await this.#prepare(shared);
      await this.link({ repository: shared, digest }, repository, signal);
    } catch (error) {
      log.info('blob is not shared', { repository, digest, error });
    }
  }

  /**
   * Distribution's collector skips repositories without a manifest: links to blobs that it has removed would
   * stay there.
   */
  async #prepare(shared: string): Promise<void> {
    if (this.#prepared.has(shared)) return;
    await this.#preparing.run(shared, async () => {
      const { store, signal } = this.#options;
      await putSelfTestImage(store, shared, signal);
      this.#prepared.add(shared);
    });
  }
}
