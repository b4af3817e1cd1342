/** Stores the images that pulls fetch: first the blobs, then the manifest, last the index above it. */
import { LRUCache } from 'lru-cache';
import type { Logger } from '../../platform/log.ts';
import type { Digest } from '../../registry/core/digest.ts';
import type { ManifestReference } from '../../registry/core/distribution-path.ts';
import { blobsOf, type ImageManifest } from '../../registry/core/manifest.ts';
import type { VerifiedManifest } from '../../registry/client/manifests.ts';
import { forEachLimited } from '../../registry/copy/limit.ts';
import { putOrResend } from '../../registry/copy/put-manifest.ts';
import { SingleFlight } from '../../platform/single-flight.ts';
import type { BlobStore, ManifestStore } from '../store/content-store.ts';
import type { Blobs } from './blobs.ts';
import type { PullPolicies } from './pull-policies.ts';
import type { PullTarget } from './pull-target.ts';

export interface CompletionOptions {
  readonly store: ManifestStore & Pick<BlobStore, 'hasBlob'>;
  readonly blobs: Blobs;
  readonly policies: PullPolicies;
  /** How many blobs of one image are fetched at the same time. */
  readonly parallelBlobs: number;
  readonly log: Logger;
  /** Ends what is under way. */
  readonly signal: AbortSignal;
}

interface WaitingIndex {
  readonly repository: string;
  readonly manifest: VerifiedManifest;
  readonly reference: ManifestReference;
  readonly children: ReadonlySet<Digest>;
}

const MAX_WAITING = 1_000;

/**
 * An index is stored only once the store has the whole of a child that somebody pulled: when a tag has moved
 * upstream, the complete image that the cache has under it must not be replaced by an incomplete one.
 */
export class Completion {
  readonly #options: CompletionOptions;
  readonly #running = new SingleFlight<void>();
  /** Indexes of which no child has been pulled yet, by repository and reference. */
  readonly #waiting = new LRUCache<string, WaitingIndex>({ max: MAX_WAITING });

  constructor(options: CompletionOptions) {
    this.#options = options;
  }

  /**
   * Stores the image of a manifest that upstream has sent, if policies keep it. A failure is only logged: the
   * next pull or order tries again.
   * @param tag that it was asked for by; undefined when it was by digest
   */
  storeInBackground(target: PullTarget, fetched: VerifiedManifest, tag: string | undefined): void {
    const { log, policies } = this.#options;
    if (!policies.keeps(target.cached)) return;
    const { manifest, digest } = fetched;
    const reference = tag === undefined ? { digest } : { tag };
    const { storeRepository: repository } = target;
    if (manifest.kind === 'index') {
      const children = new Set(manifest.manifests.map((child) => child.digest));
      const key = `${repository} ${JSON.stringify(reference)}`;
      this.#waiting.set(key, { repository, manifest: fetched, reference, children });
      return;
    }
    void this.#running
      .run(`${repository} ${digest} ${tag ?? ''}`, () =>
        this.#complete(target, { fetched, image: manifest, reference }),
      )
      .catch((error: unknown) => {
        log.warn('image was not stored', { repository, digest, error });
      });
  }

  async #complete(
    target: PullTarget,
    {
      fetched,
      image,
      reference,
    }: { fetched: VerifiedManifest; image: ImageManifest; reference: ManifestReference },
  ): Promise<void> {
    const { store, signal } = this.#options;
    const { storeRepository } = target;
    await this.#ensureBlobs(target, image, { resend: false });
    await putOrResend(
      () => store.putManifest(storeRepository, reference, fetched, signal),
      () => this.#ensureBlobs(target, image, { resend: true }),
    );
    for (const key of [...this.#waiting.rkeys()]) {
      const index = this.#waiting.peek(key);
      if (index?.repository !== storeRepository || !index.children.has(fetched.digest)) continue;
      this.#waiting.delete(key);
      await store.putManifest(storeRepository, index.reference, index.manifest, signal);
    }
  }

  /** Gets the blobs that the store lacks. @param resend fetches all of them anew, see `Blobs.fetch` */
  async #ensureBlobs(
    target: PullTarget,
    image: ImageManifest,
    { resend }: { readonly resend: boolean },
  ): Promise<void> {
    const { store, blobs, parallelBlobs, signal } = this.#options;
    await forEachLimited(blobsOf(image), parallelBlobs, signal, async ({ digest }, blobSignal) => {
      const isThere =
        !resend && (await store.hasBlob({ repository: target.storeRepository, digest }, blobSignal));
      if (!isThere) await blobs.fetch(target, digest, { resend });
    });
  }
}
