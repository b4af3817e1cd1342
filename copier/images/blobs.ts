/** Finds the best place that has a blob: a download under way, the store, or upstream. */
import type { Logger } from '../../platform/log.ts';
import type { Digest } from '../../registry/core/digest.ts';
import type { BlobSource } from '../download/download.ts';
import type { BlobKey } from '../blob-sink.ts';
import type { Downloads, OngoingDownload } from '../download/downloads.ts';
import { SpoolFull } from '../download/spool.ts';
import type { Store } from '../store/store.ts';
import type { Upstreams } from '../upstream/upstreams.ts';
import { type BlobContent, fromDownload, fromStore, fromUpstream } from './blob-content.ts';
import type { BlobSharing } from './blob-sharing.ts';
import type { PullPolicies } from './pull-policies.ts';
import type { PullTarget } from './pull-target.ts';
import type { RecentManifests } from './recent.ts';

export interface BlobsOptions {
  readonly store: Store;
  readonly downloads: Downloads;
  readonly sharing: BlobSharing;
  /** Decides which blobs of other repositories a repository may be given. */
  readonly recent: RecentManifests;
  readonly policies: PullPolicies;
  readonly upstreams: Upstreams;
  readonly log: Logger;
  /** Ends what outlives a single request. */
  readonly signal: AbortSignal;
}

export class Blobs {
  readonly #options: BlobsOptions;

  constructor(options: BlobsOptions) {
    this.#options = options;
  }

  /**
   * The blob, downloaded into the store meanwhile if need be.
   * @throws RegistryError with upstream's meaning
   */
  async find(target: PullTarget, digest: Digest, signal: AbortSignal): Promise<BlobContent> {
    const { downloads, sharing } = this.#options;
    const key = keyOf(target, digest);
    const download = downloads.find(key);
    const known = (download && (await fromDownload(download))) ?? (await this.#findInStore(key, signal));
    if (known !== undefined) return known;
    const others = this.#mayBeShared(key) ? sharing.ongoing(key) : undefined;
    // If the download that was joined fails, our own registry is still asked.
    const content = others && (await fromDownload(others).catch(() => undefined));
    return content ?? this.#fetchFromUpstream(target, digest, signal);
  }

  /** Whether it is there, and its size; starts no download. @throws RegistryError with upstream's meaning */
  async head(
    target: PullTarget,
    digest: Digest,
    signal: AbortSignal,
  ): Promise<{ size: number | undefined } | undefined> {
    const { downloads, store, upstreams } = this.#options;
    const key = keyOf(target, digest);
    const download = downloads.find(key);
    if (download !== undefined) return download.opened;
    const head = await this.#askStore(() => store.headBlob(key, signal));
    return head ?? (await upstreams.open(target.cached, undefined, signal)).headBlob(digest, signal);
  }

  /**
   * Gets a blob that a manifest refers to into the repository, linked from another one if possible.
   * @param resend it was lost after it had come: it is sent anew, not linked
   * @throws RegistryError
   */
  async fetch(target: PullTarget, digest: Digest, { resend }: { readonly resend: boolean }): Promise<void> {
    if (!resend && (await this.adopt(target, digest, this.#options.signal))) return;
    await this.download(target, digest).stored;
  }

  /**
   * Links a blob into the repository that another one has or is getting.
   * @returns false when it has to be fetched
   */
  async adopt(target: PullTarget, digest: Digest, signal: AbortSignal): Promise<boolean> {
    return this.#options.sharing.adopt(keyOf(target, digest), signal);
  }

  /** The blob's download into the store, started unless it is under way. */
  download(target: PullTarget, digest: Digest): OngoingDownload {
    const key = keyOf(target, digest);
    return this.#options.downloads.join(key, this.#sourceOf(target, digest));
  }

  async #fetchFromUpstream(target: PullTarget, digest: Digest, signal: AbortSignal): Promise<BlobContent> {
    const { policies, log } = this.#options;
    const source = this.#sourceOf(target, digest);
    if (!policies.keeps(target.cached)) return fromUpstream(digest, await source.open(0, signal));
    try {
      return (await fromDownload(this.download(target, digest))) ?? (await this.find(target, digest, signal));
    } catch (error) {
      if (!(error instanceof SpoolFull)) throw error;
      log.warn('blob is passed on without being stored', { ...keyOf(target, digest), error });
      return fromUpstream(digest, await source.open(0, signal));
    }
  }

  /**
   * Credentials are looked up in `open`, since nothing may be awaited between finding no download and
   * starting one.
   */
  #sourceOf({ cached }: PullTarget, digest: Digest): BlobSource {
    const { upstreams } = this.#options;
    return {
      open: async (offset, signal) =>
        (await upstreams.open(cached, undefined, signal)).blob(digest).open(offset, signal),
    };
  }

  /** Knowing a digest gets nobody anything: a manifest of the repository has to name it (docs/adr/0008). */
  #mayBeShared({ repository, digest }: BlobKey): boolean {
    return this.#options.recent.refersTo(repository, digest);
  }

  /** From the repository itself, or from one that shares it. */
  async #findInStore(key: BlobKey, signal: AbortSignal): Promise<BlobContent | undefined> {
    const { digest } = key;
    const [own, sharedIn] = await Promise.all([
      this.#open(key, signal),
      this.#mayBeShared(key) ? this.#options.sharing.storedIn(key, signal) : undefined,
    ]);
    return own ?? (sharedIn === undefined ? undefined : this.#open({ repository: sharedIn, digest }, signal));
  }

  async #open(key: BlobKey, signal: AbortSignal): Promise<BlobContent | undefined> {
    const { store } = this.#options;
    const { repository, digest } = key;
    const head = await this.#askStore(() => store.headBlob(key, signal));
    return (
      head &&
      fromStore(head.size, (offset, readSignal) =>
        store.openBlob(repository, digest, { offset, signal: readSignal }),
      )
    );
  }

  /** A store that cannot be asked counts as one that has nothing: upstream may still help. */
  async #askStore<T>(ask: () => Promise<T | undefined>): Promise<T | undefined> {
    try {
      return await ask();
    } catch (error) {
      this.#options.log.warn('store cannot be asked for a blob', { error });
      return undefined;
    }
  }
}

function keyOf({ storeRepository }: PullTarget, digest: Digest): BlobKey {
  return { repository: storeRepository, digest };
}
