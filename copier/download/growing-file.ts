/** A temporary file that one writer lengthens while any number of readers follow it, each at its own pace. */
import type { FileHandle } from 'node:fs/promises';
import type { ByteSink } from '../../registry/transport/http/byte-sink.ts';
import { RecentBytes } from './recent-bytes.ts';
import { SLAB_BYTES, type Slabs } from './buffer-pool.ts';

/** So much may wait to be written before the writer is slowed down. */
const UNWRITTEN_BYTES = 2 ** 20;
/** So far the writer may be ahead of those that it waits for: whoever keeps up with it never touches the disk. */
const AHEAD_BYTES = 2 ** 20;

export interface ByteRange {
  /** First byte wanted. */
  readonly start: number;
  /** Byte after the last one wanted; the end of the file when absent. */
  readonly end?: number | undefined;
}

export interface FollowOptions {
  /** The writer waits for this reader. Of the others it waits for the one that is furthest, so that none is slowed down by another. */
  readonly isAwaited?: boolean;
}

export interface GrowingFileOptions {
  readonly slabs: Slabs;
  /** Bytes that it will have, when they are known; the writer must not write more. */
  readonly size?: number | undefined;
  /** Whoever holds the writer up for longer than this, in milliseconds, is left behind until it has caught up. */
  readonly patienceMs: number;
  /** Called when the creator and the last reader are gone, and nothing is written any more. */
  readonly onClosed?: () => void;
}

interface Reader {
  /** The next byte it wants. */
  offset: number;
  readonly isAwaited: boolean;
  isLeftBehind: boolean;
}

/**
 * Readers see every byte but the last until `seal`, so that nobody can mistake content that nobody has verified for the whole.
 */
export class GrowingFile implements ByteSink {
  readonly #handle: FileHandle;
  readonly #options: GrowingFileOptions;
  readonly #recent: RecentBytes;
  readonly #readers = new Set<Reader>();
  #onDisk = 0;
  #writing: Promise<void> | undefined;
  #diskFailure: { readonly error: unknown } | undefined;
  #wasReadFromDisk = false;
  #sealed = false;
  #failure: { readonly error: unknown } | undefined;
  #holders = 1;
  #changed = Promise.withResolvers<undefined>();
  /** The writer waits for readers. */
  #heldUp: PromiseWithResolvers<undefined> | undefined;

  /** @param handle whatever stands in the file already is overwritten */
  constructor(handle: FileHandle, options: GrowingFileOptions) {
    this.#handle = handle;
    this.#options = options;
    this.#recent = new RecentBytes(options.slabs);
  }

  /** Bytes taken so far. */
  get written(): number {
    return this.#recent.end;
  }

  get sealed(): boolean {
    return this.#sealed;
  }

  /** Somebody fell behind. */
  get wasReadFromDisk(): boolean {
    return this.#wasReadFromDisk;
  }

  space(): Uint8Array {
    return this.#recent.space();
  }

  /** For readers to see at once; the disk follows. Only one writer at a time. @throws when the disk does not take what came before */
  filled(bytes: number): boolean {
    this.#throwIfDiskFailed();
    if (bytes > 0) {
      this.#recent.filled(bytes);
      this.#notify();
      this.#writing ??= this.#writeOut();
    }
    return !this.#isBacklogged() && this.#ahead() <= AHEAD_BYTES;
  }

  async ready(): Promise<void> {
    if (this.#isBacklogged()) await this.#writing;
    this.#throwIfDiskFailed();
    if (this.#ahead() <= AHEAD_BYTES) return;
    this.#heldUp = Promise.withResolvers();
    const { promise, resolve } = this.#heldUp;
    const patience = setTimeout(() => {
      this.#leaveBehind();
      resolve(undefined);
    }, this.#options.patienceMs);
    await promise;
    clearTimeout(patience);
    this.#heldUp = undefined;
  }

  /** Resolves when the disk has all that was taken. @throws when it does not take it */
  async flush(): Promise<void> {
    await this.#writing;
    this.#throwIfDiskFailed();
  }

  /** Says that the content is whole and verified. */
  seal(): void {
    this.#sealed = true;
    this.#notify();
  }

  /** Cuts all readers short with `error`. */
  fail(error: unknown): void {
    this.#failure = { error };
    this.#notify();
  }

  /**
   * The bytes of `range` as they arrive. A yielded chunk is valid until the next one is asked for: its memory is used again.
   * @throws what `fail` was given, or the signal's reason.
   */
  async *follow(
    range: ByteRange,
    signal: AbortSignal,
    { isAwaited = false }: FollowOptions = {},
  ): AsyncGenerator<Uint8Array, void, undefined> {
    const release = this.hold();
    if (release === undefined) throw new Error('a temporary file that is closed cannot be read');
    const wake = (): void => {
      this.#notify();
    };
    signal.addEventListener('abort', wake, { once: true });
    const reader = { offset: range.start, isAwaited, isLeftBehind: this.written - range.start > AHEAD_BYTES };
    this.#readers.add(reader);
    try {
      for (;;) {
        signal.throwIfAborted();
        const readable = this.#readableUntil(range.end);
        if (reader.offset < readable) {
          yield* this.#next(reader, readable);
        } else if (this.#sealed || (range.end !== undefined && reader.offset >= range.end)) {
          return;
        } else if (this.#failure !== undefined) {
          throw this.#failure.error;
        } else {
          await this.#changed.promise;
        }
      }
    } finally {
      signal.removeEventListener('abort', wake);
      this.#readers.delete(reader);
      this.#letWriterGoOn();
      release();
    }
  }

  /**
   * Keeps the file open until the returned function is called; whoever creates the file holds it once, see `close`.
   * Undefined when it is closed already.
   */
  hold(): (() => void) | undefined {
    if (this.#holders === 0) return undefined;
    this.#holders += 1;
    let held = true;
    return () => {
      if (held) this.#letGo();
      held = false;
    };
  }

  /** Gives up the creator's hold. */
  close(): void {
    this.#letGo();
  }

  /** One chunk, from memory or else from the disk. */
  async *#next(reader: Reader, until: number): AsyncGenerator<Uint8Array, void, undefined> {
    const pinned = this.#recent.pin(reader.offset, until);
    const buffer = pinned === undefined ? this.#options.slabs.take() : undefined;
    try {
      const chunk = pinned?.bytes ?? (await this.#fromDisk(buffer, reader.offset, until));
      reader.offset += chunk.byteLength;
      if (this.written - reader.offset <= AHEAD_BYTES / 2) reader.isLeftBehind = false;
      this.#letWriterGoOn();
      yield chunk;
    } finally {
      pinned?.unpin();
      if (buffer !== undefined) this.#options.slabs.giveBack(buffer);
      this.#recent.forget(this.#onDisk);
    }
  }

  async #fromDisk(buffer: Buffer = Buffer.alloc(0), offset: number, until: number): Promise<Uint8Array> {
    const wanted = Math.min(SLAB_BYTES, Math.min(until, this.#onDisk) - offset);
    this.#wasReadFromDisk = true;
    const { bytesRead } = await this.#handle.read(buffer, 0, wanted, offset);
    if (bytesRead === 0) throw new Error('a temporary file is shorter than what was written to it');
    return buffer.subarray(0, bytesRead);
  }

  /** Writes what waits, all of it at once, as often as there is something. Does not throw: the next call of the writer does. */
  async #writeOut(): Promise<void> {
    try {
      while (this.#onDisk < this.written) {
        const { bytesWritten } = await this.#handle.writev(this.#recent.from(this.#onDisk), this.#onDisk);
        this.#onDisk += bytesWritten;
        this.#recent.forget(this.#onDisk);
      }
    } catch (error) {
      this.#diskFailure = { error };
    } finally {
      this.#writing = undefined;
    }
  }

  #throwIfDiskFailed(): void {
    if (this.#diskFailure !== undefined) throw this.#diskFailure.error;
  }

  #isBacklogged(): boolean {
    return this.written - this.#onDisk > UNWRITTEN_BYTES;
  }

  /** How far the writer is ahead of those that it waits for, in bytes. */
  #ahead(): number {
    let awaited = this.written;
    let furthest = -1;
    for (const { offset, isAwaited, isLeftBehind } of this.#readers) {
      if (isLeftBehind) continue;
      if (isAwaited) awaited = Math.min(awaited, offset);
      else furthest = Math.max(furthest, offset);
    }
    return this.written - Math.min(awaited, furthest < 0 ? this.written : furthest);
  }

  #leaveBehind(): void {
    for (const reader of this.#readers)
      if (this.written - reader.offset > AHEAD_BYTES / 2) reader.isLeftBehind = true;
  }

  /** Not for every little step: stopping and starting the source costs something, too. */
  #letWriterGoOn(): void {
    if (this.#heldUp !== undefined && this.#ahead() <= AHEAD_BYTES / 2) this.#heldUp.resolve(undefined);
  }

  #letGo(): void {
    this.#holders -= 1;
    if (this.#holders > 0) return;
    void (this.#writing ?? Promise.resolve()).then(() => {
      this.#recent.clear();
      this.#options.onClosed?.();
    });
  }

  #readableUntil(end: number | undefined): number {
    // Where the end is known only its byte is held back: else each piece would be given in two, and all at odd offsets.
    const last = (this.#options.size ?? this.written) - 1;
    const readable = this.#sealed ? this.written : Math.max(0, Math.min(this.written, last));
    return end === undefined ? readable : Math.min(readable, end);
  }

  #notify(): void {
    this.#changed.resolve(undefined);
    this.#changed = Promise.withResolvers();
  }
}
