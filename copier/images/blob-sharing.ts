/** Spares a repository a download when another one has the blob or is getting it (docs/adr/0008). */
import type { BlobKey } from '../blob-sink.ts';
import type { Downloads, OngoingDownload } from '../download/downloads.ts';
import { maySee, type SharedBlobs } from '../store/shared-blobs.ts';
import { waitForDownload } from './wait-for-download.ts';

export interface BlobSharingOptions {
  readonly downloads: Downloads;
  readonly sharedBlobs: SharedBlobs;
}

export class BlobSharing {
  readonly #options: BlobSharingOptions;

  constructor(options: BlobSharingOptions) {
    this.#options = options;
  }

  /** The store's repository from which this one may be given the blob; undefined when there is none. */
  async storedIn(key: BlobKey, signal: AbortSignal): Promise<string | undefined> {
    return this.#options.sharedBlobs.find(key, signal);
  }

  /** A download of this content into another repository, which this one may read along with. */
  ongoing({ repository, digest }: BlobKey): OngoingDownload | undefined {
    const downloads = this.#options.downloads.ofDigest(digest);
    return downloads.find(({ key }) => key.repository !== repository && maySee(repository, key.repository));
  }

  /**
   * Links the blob into the repository, after waiting for another repository's download of it.
   * @returns false when it has to be fetched
   */
  async adopt(key: BlobKey, signal: AbortSignal): Promise<boolean> {
    const { downloads, sharedBlobs } = this.#options;
    if (downloads.find(key) !== undefined) return false;
    const from =
      (await this.#downloadedTo(key, signal)) ??
      (await this.storedIn(key, signal)) ??
      // A download may have begun meanwhile.
      (await this.#downloadedTo(key, signal));
    return from !== undefined && sharedBlobs.link(key, from, signal);
  }

  /**
   * Waits for another repository's download.
   * @returns that repository; undefined when there is none, or it fails
   */
  async #downloadedTo(key: BlobKey, signal: AbortSignal): Promise<string | undefined> {
    const download = this.ongoing(key);
    try {
      if (download !== undefined) await waitForDownload(download, () => undefined, signal);
    } catch {
      signal.throwIfAborted();
      return undefined;
    }
    return download?.key.repository;
  }
}
