/** A temporary file that one writer lengthens while any number of readers follow it, each at its own pace. */
import type { FileHandle } from 'node:fs/promises';
import type { ByteSink } from '../../registry/transport/http/byte-sink.ts';
import type { BufferPool } from './buffer-pool.ts';
import { type Reader, Readers } from './readers.ts';
import { RecentBytes } from './recent-bytes.ts';
import { WriteBehind } from './write-behind.ts';

/** Which bytes to read. */
export interface ReadRange {
  /** First byte wanted. */
  readonly start: number;
  /** Byte after the last one wanted; the end of the content when absent. */
  readonly end?: number | undefined;
}

export interface FollowOptions {
  /** The writer waits for this reader, see `Reader`. */
  readonly isAwaited?: boolean;
}

export interface GrowingFileOptions {
  readonly pool: BufferPool;
  /** Bytes that it will have, when they are known; the writer must not write more. */
  readonly size?: number | undefined;
  /** A reader that holds the writer up for longer, in milliseconds, is left behind until it has caught up. */
  readonly patienceMs: number;
  /** Called when the creator and the last reader have gone, and nothing is being written any more. */
  readonly onClosed?: () => void;
}

/** Until `seal` readers get every byte but the last: none can take unverified content for the whole. */
export class GrowingFile implements ByteSink {
  readonly #options: GrowingFileOptions;
  readonly #recent: RecentBytes;
  readonly #disk: WriteBehind;
  readonly #readers: Readers;
  #sealed = false;
  #failure: { readonly error: unknown } | undefined;
  #holders = 1;
  #changed = Promise.withResolvers<undefined>();

  /** @param handle what its file contains is overwritten */
  constructor(handle: FileHandle, options: GrowingFileOptions) {
    this.#options = options;
    this.#recent = new RecentBytes(options.pool);
    this.#disk = new WriteBehind(handle, this.#recent);
    this.#readers = new Readers(options.patienceMs);
  }

  /** Bytes taken so far. */
  get written(): number {
    return this.#recent.end;
  }

  get sealed(): boolean {
    return this.#sealed;
  }

  /** Whether a reader fell behind what memory keeps. */
  get wasReadFromDisk(): boolean {
    return this.#disk.wasRead;
  }

  space(): Uint8Array {
    return this.#recent.space();
  }

  /**
   * Readers see the bytes at once; the disk follows. One writer at a time.
   * @throws when the disk failed earlier
   */
  filled(bytes: number): boolean {
    this.#disk.throwIfFailed();
    if (bytes > 0) {
      this.#recent.filled(bytes);
      this.#notify();
      this.#disk.write();
    }
    return !this.#disk.isBacklogged && !this.#readers.mustWait(this.written);
  }

  async ready(): Promise<void> {
    if (this.#disk.isBacklogged) await this.#disk.idle();
    this.#disk.throwIfFailed();
    await this.#readers.caughtUp(this.written);
  }

  /** Resolves when the disk has everything. @throws when it cannot take it */
  async flush(): Promise<void> {
    await this.#disk.idle();
    this.#disk.throwIfFailed();
  }

  /** The content is whole and verified. */
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
   * The bytes of `range` as they arrive. A chunk is valid until the next is asked for: its memory is reused.
   * @throws what `fail` was given, or the signal's reason.
   */
  async *follow(
    range: ReadRange,
    signal: AbortSignal,
    { isAwaited = false }: FollowOptions = {},
  ): AsyncGenerator<Uint8Array, void, undefined> {
    const release = this.hold();
    if (release === undefined) throw new Error('a temporary file that is closed cannot be read');
    const wake = (): void => {
      this.#notify();
    };
    signal.addEventListener('abort', wake, { once: true });
    const reader = this.#readers.join(range.start, this.written, isAwaited);
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
      this.#readers.leave(reader, this.written);
      release();
    }
  }

  /**
   * Keeps the file open until the returned function is called. Its creator holds it from the start.
   * @returns undefined when it is closed already
   */
  hold(): (() => void) | undefined {
    if (this.#holders === 0) return undefined;
    this.#holders += 1;
    let held = true;
    return () => {
      if (held) this.#release();
      held = false;
    };
  }

  /** Gives up the creator's hold. */
  close(): void {
    this.#release();
  }

  /** One chunk, from memory or else from the disk. */
  async *#next(reader: Reader, until: number): AsyncGenerator<Uint8Array, void, undefined> {
    const { pool } = this.#options;
    const pinned = this.#recent.pin(reader.offset, until);
    let buffer: Buffer | undefined;
    try {
      const chunk = pinned?.bytes ?? (await this.#disk.read((buffer = pool.take()), reader.offset, until));
      this.#readers.advance(reader, chunk.byteLength, this.written);
      yield chunk;
    } finally {
      pinned?.unpin();
      if (buffer !== undefined) pool.giveBack(buffer);
      this.#recent.drop(this.#disk.onDisk);
    }
  }

  #release(): void {
    this.#holders -= 1;
    if (this.#holders > 0) return;
    void this.#disk.idle().then(() => {
      this.#recent.clear();
      this.#options.onClosed?.();
    });
  }

  #readableUntil(end: number | undefined): number {
    // With a known size only the very last byte is held back: else each chunk would come in two pieces.
    const last = (this.#options.size ?? this.written) - 1;
    const readable = this.#sealed ? this.written : Math.max(0, Math.min(this.written, last));
    return end === undefined ? readable : Math.min(readable, end);
  }

  #notify(): void {
    this.#changed.resolve(undefined);
    this.#changed = Promise.withResolvers();
  }
}
