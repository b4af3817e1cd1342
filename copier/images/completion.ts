/** Stores the manifests that pulls brought from upstream, after the content they refer to: children first, the tag last. */
import type { Logger } from '../../platform/log.ts';
import type { Digest } from '../../registry/core/digest.ts';
import type { ManifestReference } from '../../registry/core/distribution-path.ts';
import { blobsOf, type ImageManifest } from '../../registry/core/manifest.ts';
import type { StoredManifest } from '../../registry/client/manifests.ts';
import { forEachLimited } from '../../registry/copy/limit.ts';
import { putOrResend } from '../../registry/copy/put-manifest.ts';
import type { Blobs } from './blobs.ts';
import type { FetchedManifest, PullTarget } from './manifests.ts';
import type { BlobStore, ManifestStore } from '../store/content-store.ts';
import { SingleFlight } from '../download/single-flight.ts';

export interface CompletionOptions {
  readonly store: ManifestStore & Pick<BlobStore, 'hasBlob'>;
  readonly blobs: Pick<Blobs, 'fetch'>;
  /** Blobs of one image that are fetched side by side. */
  readonly parallelBlobs: number;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

interface WaitingIndex {
  readonly stored: StoredManifest;
  readonly reference: ManifestReference;
  readonly children: ReadonlySet<Digest>;
}

const MAX_WAITING = 1_000;

/**
 * An index is stored under its tag only once a child that somebody pulled is whole in the store: a tag that has moved upstream
 * must not replace, in the cache, an image that is complete by one that is not.
 */
export class Completion {
  readonly #options: CompletionOptions;
  readonly #running = new SingleFlight<void>();
  /** By repository and reference; the oldest goes first when nobody pulls their children. */
  readonly #waiting = new Map<string, WaitingIndex & { readonly repository: string }>();

  constructor(options: CompletionOptions) {
    this.#options = options;
  }

  /** Takes what came from upstream. Returns at once; failures are logged, since the next pull or order tries again. */
  accept(target: PullTarget, fetched: FetchedManifest): void {
    const { stored, tag } = fetched;
    const { manifest, digest } = stored;
    const reference = tag === undefined ? { digest } : { tag };
    if (manifest.kind === 'index') {
      this.#wait(target.repository, {
        stored,
        reference,
        children: new Set(manifest.manifests.map((child) => child.digest)),
      });
      return;
    }
    const key = `${target.repository} ${digest} ${tag ?? ''}`;
    void this.#running
      .run(key, () => this.#complete(target, { stored, image: manifest, reference }))
      .catch((error: unknown) => {
        this.#options.log.warn('image was not stored', {
          repository: target.repository,
          digest,
          error,
        });
      });
  }

  #wait(repository: string, index: WaitingIndex): void {
    const key = `${repository} ${JSON.stringify(index.reference)}`;
    this.#waiting.delete(key);
    this.#waiting.set(key, { ...index, repository });
    const [oldest] = this.#waiting.keys();
    if (this.#waiting.size > MAX_WAITING && oldest !== undefined) this.#waiting.delete(oldest);
  }

  async #complete(
    target: PullTarget,
    {
      stored,
      image,
      reference,
    }: { stored: StoredManifest; image: ImageManifest; reference: ManifestReference },
  ): Promise<void> {
    const { store, signal } = this.#options;
    await this.#sendBlobs(target, image, { resend: false });
    await putOrResend(
      () => store.putManifest(target.repository, reference, stored, signal),
      () => this.#sendBlobs(target, image, { resend: true }),
    );
    for (const [key, index] of this.#waiting) {
      if (index.repository !== target.repository || !index.children.has(stored.digest)) continue;
      this.#waiting.delete(key);
      await store.putManifest(target.repository, index.reference, index.stored, signal);
    }
  }

  async #sendBlobs(
    target: PullTarget,
    image: ImageManifest,
    { resend }: { readonly resend: boolean },
  ): Promise<void> {
    const { store, blobs, parallelBlobs, signal } = this.#options;
    await forEachLimited(blobsOf(image), parallelBlobs, signal, async ({ digest }, blobSignal) => {
      const isThere = !resend && (await store.hasBlob({ repository: target.repository, digest }, blobSignal));
      if (!isThere) await blobs.fetch(target, digest, { resend });
    });
  }
}
