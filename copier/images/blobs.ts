/** Finds the best place that has a blob: one on its way, the store, or upstream. */
import type { Logger } from '../../platform/log.ts';
import { verified, withTypedErrors } from '../../registry/client/verified.ts';
import type { OpenedBlob } from '../../registry/client/blobs.ts';
import type { Digest } from '../../registry/core/digest.ts';
import type { BlobSource } from '../download/download.ts';
import type { BlobFlights, BlobKey, Flight } from '../download/downloads.ts';
import type { ByteRange } from '../download/growing-file.ts';
import type { PullTarget } from './manifests.ts';
import type { UpstreamRepository } from '../upstream/upstream-repository.ts';
import type { BlobContent } from './blob-content.ts';
import { maySee, type Shelves } from '../store/shared-blobs.ts';
import { SpoolFull } from '../download/spool.ts';
import type { Store } from '../store/store.ts';
import { followFlight } from './transfer.ts';

export interface BlobsOptions {
  readonly store: Store;
  readonly flights: BlobFlights;
  readonly shelves: Shelves;
  /** Whether a manifest that was fetched for this repository refers to the blob. */
  readonly isReferred: (repository: string, digest: Digest) => boolean;
  /** Whether what comes from upstream is kept; else it is only passed on. */
  readonly keeps: (target: PullTarget) => boolean;
  readonly upstream: (target: PullTarget, signal: AbortSignal) => Promise<UpstreamRepository>;
  readonly log: Logger;
  /** Ends what outlives a single request. */
  readonly signal: AbortSignal;
}

export class Blobs {
  readonly #options: BlobsOptions;

  constructor(options: BlobsOptions) {
    this.#options = options;
  }

  /** @throws RegistryError with upstream's meaning when nobody has it */
  async find(target: PullTarget, digest: Digest, signal: AbortSignal): Promise<BlobContent> {
    const { flights, isReferred } = this.#options;
    const key = { repository: target.repository, digest };
    const flying = flights.find(key);
    const known = (flying && (await flown(flying))) ?? (await this.#stored(target, digest, signal));
    if (known !== undefined) return known;
    const along = isReferred(key.repository, digest) ? this.#underWay(key) : undefined;
    // Its upstream may refuse what ours gives.
    const content = along && (await flown(along).catch(() => undefined));
    return content ?? this.#fromUpstream(target, digest, signal);
  }

  async #fromUpstream(target: PullTarget, digest: Digest, signal: AbortSignal): Promise<BlobContent> {
    const source = this.#sourceOf(target, digest);
    if (!this.#options.keeps(target)) return passedOn(digest, await source.open(0, signal));
    try {
      const flight = this.#options.flights.join({ repository: target.repository, digest }, source);
      return (await flown(flight)) ?? (await this.find(target, digest, signal));
    } catch (error) {
      if (!(error instanceof SpoolFull)) throw error;
      this.#options.log.warn('blob is passed on without being stored', { ...target, digest, error });
      return passedOn(digest, await source.open(0, signal));
    }
  }

  /** Only whether it is there, and how large: begins nothing. @throws RegistryError with upstream's meaning */
  async head(
    target: PullTarget,
    digest: Digest,
    signal: AbortSignal,
  ): Promise<{ size: number | undefined } | undefined> {
    const key = { repository: target.repository, digest };
    const flying = this.#options.flights.find(key);
    if (flying !== undefined) return flying.opened;
    const stored = await this.#askStore(() => this.#options.store.headBlob(key, signal));
    return stored ?? (await this.#options.upstream(target, signal)).headBlob(digest, signal);
  }

  /**
   * Gets a blob that a manifest refers to into the repository, sharing what others have or get.
   * @param resend it was lost after it had come: it is sent anew, not linked
   * @throws RegistryError
   */
  async fetch(target: PullTarget, digest: Digest, { resend }: { readonly resend: boolean }): Promise<void> {
    if (!resend && (await this.adopt(target, digest, this.#options.signal))) return;
    await this.transfer(target, digest).stored;
  }

  /**
   * Links a blob into the repository that another one has or is getting.
   * @returns false: it has to be fetched
   */
  async adopt(target: PullTarget, digest: Digest, signal: AbortSignal): Promise<boolean> {
    const { flights, shelves } = this.#options;
    const key = { repository: target.repository, digest };
    if (flights.find(key) !== undefined) return false;
    const from =
      (await this.#landed(key, signal)) ??
      (await shelves.find(key, signal)) ??
      // One that has begun meanwhile.
      (await this.#landed(key, signal));
    return from !== undefined && shelves.link(key, from, signal);
  }

  /** The repository that another flight of this content has brought it into; undefined when there is none, or it fails. */
  async #landed(key: BlobKey, signal: AbortSignal): Promise<string | undefined> {
    const flight = this.#underWay(key);
    try {
      if (flight !== undefined) await followFlight(flight, () => undefined, signal);
    } catch {
      signal.throwIfAborted();
      return undefined;
    }
    return flight?.key.repository;
  }

  /** A flight of this content into another repository, which this one may read along with. */
  #underWay({ repository, digest }: BlobKey): Flight | undefined {
    const flights = this.#options.flights.ofDigest(digest);
    return flights.find(({ key }) => key.repository !== repository && maySee(repository, key.repository));
  }

  /** The blob's flight into the store, begun unless it is under way. */
  transfer(target: PullTarget, digest: Digest): Flight {
    const key = { repository: target.repository, digest };
    return this.#options.flights.join(key, this.#sourceOf(target, digest));
  }

  /** Asks for the credentials only when it is opened, so that a flight can begin at the very moment that nobody else is found to have one. */
  #sourceOf(target: PullTarget, digest: Digest): BlobSource {
    return {
      open: async (offset, signal) =>
        (await this.#options.upstream(target, signal)).blob(digest).open(offset, signal),
    };
  }

  async #stored(target: PullTarget, digest: Digest, signal: AbortSignal): Promise<BlobContent | undefined> {
    const { shelves, isReferred } = this.#options;
    const key = { repository: target.repository, digest };
    const [own, shelf] = await Promise.all([
      this.#open(key, signal),
      isReferred(key.repository, digest) ? shelves.find(key, signal) : undefined,
    ]);
    return own ?? (shelf === undefined ? undefined : this.#open({ repository: shelf, digest }, signal));
  }

  async #open({ repository, digest }: BlobKey, signal: AbortSignal): Promise<BlobContent | undefined> {
    const { store } = this.#options;
    const head = await this.#askStore(() => store.headBlob({ repository, digest }, signal));
    if (head === undefined) return undefined;
    return {
      size: head.size,
      read: async function* (range, readSignal) {
        const opened = await store.openBlob(repository, digest, { offset: range.start, signal: readSignal });
        if (opened !== undefined) yield* limited(chunksOf(opened), range);
      },
      close: () => undefined,
    };
  }

  /** A store that cannot be asked is as good as one that has nothing: upstream may still help. */
  async #askStore<T>(ask: () => Promise<T | undefined>): Promise<T | undefined> {
    try {
      return await ask();
    } catch (error) {
      this.#options.log.warn('store cannot be asked for a blob', { error });
      return undefined;
    }
  }
}

/** Undefined when the flight has ended meanwhile: then the blob is in the store. */
async function flown({ opened }: Flight): Promise<BlobContent | undefined> {
  const { size, file } = await opened;
  const release = file.hold();
  return release && { size, read: (range, signal) => file.follow(range, signal), close: release };
}

/** Straight from upstream to one client; a range of it costs the bytes before it. */
function passedOn(digest: Digest, opened: OpenedBlob): BlobContent {
  return {
    size: opened.size,
    read: (range) =>
      limited(skipped(verified(chunksOf(opened), { digest, size: opened.size }), range.start), range),
    close: () => opened.body.on('error', () => undefined).destroy(),
  };
}

function chunksOf({ body, toError }: OpenedBlob): AsyncGenerator<Uint8Array> {
  return withTypedErrors(body as AsyncIterable<Uint8Array>, toError);
}

async function* skipped(chunks: AsyncIterable<Uint8Array>, bytes: number): AsyncGenerator<Uint8Array> {
  let left = bytes;
  for await (const chunk of chunks) {
    if (left < chunk.byteLength) yield chunk.subarray(left);
    left = Math.max(0, left - chunk.byteLength);
  }
}

/** As many bytes as the range is long. */
async function* limited(
  chunks: AsyncIterable<Uint8Array>,
  { start, end }: ByteRange,
): AsyncGenerator<Uint8Array> {
  let left = end === undefined ? Infinity : end - start;
  for await (const chunk of chunks) {
    if (chunk.byteLength >= left) {
      yield chunk.subarray(0, left);
      return;
    }
    left -= chunk.byteLength;
    yield chunk;
  }
}
