/** All blobs on their way: whoever wants one joins its flight, and what has landed is committed to the store. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from '../../platform/log.ts';
import { backoffMs, type BackoffPolicy } from '../../platform/backoff.ts';
import type { Digest } from '../../registry/core/digest.ts';
import { BlobFlight, type BlobSource, type OpenFlight, type ResumePolicy } from './download.ts';
import type { Spool } from './spool.ts';

/** Where a blob goes: a repository of the store. Being allowed to read one repository says nothing about another. */
export interface BlobKey {
  readonly repository: string;
  readonly digest: Digest;
}

/** The part of the store that flights need. */
export interface BlobSink {
  /**
   * Commits a blob whose content is still arriving. Its last byte comes only once all are known to be right, else `content`
   * fails; then nothing may be committed. A chunk is valid until the next one is asked for.
   * @param size bytes, when upstream has announced them
   */
  put(
    key: BlobKey,
    size: number | undefined,
    content: AsyncIterable<Uint8Array>,
    signal: AbortSignal,
  ): Promise<void>;
}

export interface BlobFlightsOptions {
  readonly spool: Spool;
  readonly sink: BlobSink;
  readonly resume: ResumePolicy;
  /** Pauses between tries to commit while the store's writer is away. */
  readonly commitBackoff: BackoffPolicy;
  /** A blob that cannot be committed for this long is let go, in milliseconds. */
  readonly commitPatienceMs: number;
  readonly log: Logger;
  /** Ends all flights. */
  readonly signal: AbortSignal;
}

export interface Flight {
  readonly key: BlobKey;
  readonly opened: Promise<OpenFlight>;
  /** The blob is in the store. @throws why it will not get there */
  readonly stored: Promise<void>;
}

export class BlobFlights {
  readonly #options: BlobFlightsOptions;
  readonly #flights = new Map<string, Flight>();

  constructor(options: BlobFlightsOptions) {
    this.#options = options;
  }

  /** Flights under way, those that wait for the store included. */
  get size(): number {
    return this.#flights.size;
  }

  find(key: BlobKey): Flight | undefined {
    return this.#flights.get(idOf(key));
  }

  /** Flights of the same content into whatever repository. */
  ofDigest(digest: Digest): Flight[] {
    return [...this.#flights.values()].filter(({ key }) => key.digest === digest);
  }

  /** The blob's flight, begun from `source` unless there is one. */
  join(key: BlobKey, source: BlobSource): Flight {
    const id = idOf(key);
    const flying = this.#flights.get(id);
    if (flying !== undefined) return flying;
    const { spool, resume, signal } = this.#options;
    const blob = new BlobFlight({ digest: key.digest, source, spool, resume, signal });
    const stored = this.#store(key, blob).finally(() => this.#flights.delete(id));
    stored.catch((error: unknown) => {
      this.#options.log.warn('blob was not stored', { ...key, error });
    });
    const flight = { key, opened: blob.opened, stored };
    this.#flights.set(id, flight);
    return flight;
  }

  /** Resolves when no flight is left, or when the signal of all flights ends them. */
  async settle(): Promise<void> {
    while (this.#flights.size > 0) {
      await Promise.allSettled([...this.#flights.values()].map(({ stored }) => stored));
    }
  }

  async #store(key: BlobKey, blob: BlobFlight): Promise<void> {
    const { size, file } = await blob.opened;
    // The store gets the bytes as they arrive; when that fails, again from the file, which stays until then.
    const first = this.#put(key, size, file).then(
      () => true,
      (error: unknown) => {
        this.#options.log.info('blob will be stored later', { ...key, error });
        return false;
      },
    );
    await blob.landed;
    try {
      if (!(await first)) await this.#putLater(key, { size: file.written, file });
    } finally {
      file.close();
    }
  }

  async #putLater(key: BlobKey, { size, file }: OpenFlight): Promise<void> {
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

  async #put(key: BlobKey, size: number | undefined, file: OpenFlight['file']): Promise<void> {
    const { sink, signal } = this.#options;
    const content = file.follow({ start: 0 }, signal, { isAwaited: true });
    // Begins now: until the store lets us send, the fetch would run ahead, and what it is ahead comes from the disk.
    const first = content.next();
    first.catch(() => undefined);
    try {
      await sink.put(key, size, begunWith(first, content), signal);
    } finally {
      void content.return();
    }
  }
}

async function* begunWith<T>(
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
