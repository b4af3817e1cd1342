/** All downloads under way: everybody who wants a blob joins its download; each goes to the store. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from '../../platform/log.ts';
import { backoffMs, type BackoffPolicy } from '../../platform/backoff.ts';
import type { Digest } from '../../registry/core/digest.ts';
import type { BlobKey, BlobSink } from '../blob-sink.ts';
import { Download, type BlobSource, type ResumePolicy, type SpooledBlob } from './download.ts';
import type { Spool } from './spool.ts';

export interface DownloadsOptions {
  readonly spool: Spool;
  readonly sink: BlobSink;
  readonly resume: ResumePolicy;
  /** Pauses between attempts to commit while the store cannot be written. */
  readonly commitBackoff: BackoffPolicy;
  /** A blob that cannot be committed for this long, in milliseconds, is given up. */
  readonly commitPatienceMs: number;
  readonly log: Logger;
  /** Ends all downloads. */
  readonly signal: AbortSignal;
}

/** A blob on its way from upstream into a repository of the store. */
export interface OngoingDownload {
  readonly key: BlobKey;
  /**
   * Upstream has answered, and readers can follow the file.
   * @throws RegistryError with upstream's meaning, or SpoolFull
   */
  readonly opened: Promise<SpooledBlob>;
  /** The blob is in the store. @throws why it will not get there */
  readonly stored: Promise<void>;
}

export class Downloads {
  readonly #options: DownloadsOptions;
  readonly #ongoing = new Map<string, OngoingDownload>();

  constructor(options: DownloadsOptions) {
    this.#options = options;
  }

  /** Downloads under way, including those that only wait for the store. */
  get size(): number {
    return this.#ongoing.size;
  }

  find(key: BlobKey): OngoingDownload | undefined {
    return this.#ongoing.get(idOf(key));
  }

  /** Downloads of the same content, into any repository. */
  ofDigest(digest: Digest): OngoingDownload[] {
    return [...this.#ongoing.values()].filter(({ key }) => key.digest === digest);
  }

  /** The blob's download, started from `source` unless it is under way. */
  join(key: BlobKey, source: BlobSource): OngoingDownload {
    const id = idOf(key);
    const ongoing = this.#ongoing.get(id);
    if (ongoing !== undefined) return ongoing;
    const { spool, resume, signal } = this.#options;
    const download = new Download({ digest: key.digest, source, spool, resume, signal });
    const stored = this.#store(key, download).finally(() => this.#ongoing.delete(id));
    stored.catch((error: unknown) => {
      this.#options.log.warn('blob was not stored', { ...key, error });
    });
    const started = { key, opened: download.opened, stored };
    this.#ongoing.set(id, started);
    return started;
  }

  /** Resolves when no download is left: all are stored, have failed or were ended by the signal. */
  async settle(): Promise<void> {
    while (this.#ongoing.size > 0) {
      await Promise.allSettled([...this.#ongoing.values()].map(({ stored }) => stored));
    }
  }

  async #store(key: BlobKey, download: Download): Promise<void> {
    const { size, file } = await download.opened;
    // The store gets the bytes as they arrive. When that fails it gets them again, from the file, which is
    // kept until then.
    const first = this.#put(key, size, file).then(
      () => true,
      (error: unknown) => {
        this.#options.log.info('blob will be stored later', { ...key, error });
        return false;
      },
    );
    await download.completed;
    try {
      if (!(await first)) await this.#putLater(key, { size: file.written, file });
    } finally {
      file.close();
    }
  }

  async #putLater(key: BlobKey, { size, file }: SpooledBlob): Promise<void> {
    const { commitBackoff, commitPatienceMs, signal } = this.#options;
    const giveUpAt = performance.now() + commitPatienceMs;
    for (let failures = 0; ; failures += 1) {
      await delay(backoffMs(failures, commitBackoff), undefined, { signal });
      try {
        await this.#put(key, size, file);
        return;
      } catch (error) {
        if (signal.aborted || performance.now() > giveUpAt) throw error;
      }
    }
  }

  async #put(key: BlobKey, size: number | undefined, file: SpooledBlob['file']): Promise<void> {
    const { sink, signal } = this.#options;
    const content = file.follow({ start: 0 }, signal, { isAwaited: true });
    // Reads before the store is ready to receive: otherwise the download would run ahead, and the upload
    // would have to catch up from the disk.
    const first = content.next();
    first.catch(() => undefined);
    try {
      await sink.put(key, size, startingWith(first, content), signal);
    } finally {
      void content.return();
    }
  }
}

async function* startingWith<T>(
  first: Promise<IteratorResult<T, void>>,
  rest: AsyncGenerator<T, void, undefined>,
): AsyncGenerator<T, void, undefined> {
  const { done, value } = await first;
  if (done) return;
  yield value;
  yield* rest;
}

function idOf({ repository, digest }: BlobKey): string {
  return `${repository}@${digest}`;
}
