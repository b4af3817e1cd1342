/** A temporary file that one writer lengthens while any number of readers follow it, each at its own pace. */
import { open, unlink, type FileHandle } from 'node:fs/promises';

const READ_BYTES = 256 * 1024;
/** So much of what came last stays in memory: whoever keeps up never touches the disk. */
const RECENT_BYTES = 2 * 2 ** 20;
/** So much may wait to be written before the writer is slowed down. */
const UNWRITTEN_BYTES = 2 ** 20;

export interface ByteRange {
  /** First byte wanted. */
  readonly start: number;
  /** Byte after the last one wanted; the end of the file when absent. */
  readonly end?: number | undefined;
}

export interface FollowOptions {
  /** Whoever reads may hold chunks for longer than until the next one is asked for. */
  readonly keepsChunks?: boolean;
}

interface Piece {
  readonly offset: number;
  readonly bytes: Uint8Array;
}

/**
 * Readers see every byte but the last until `seal`, so that nobody can mistake content that nobody has verified for the whole.
 * The file has no name on disk once it is open: a crash leaves nothing behind.
 */
export class GrowingFile {
  readonly #handle: FileHandle;
  readonly #onClosed: () => void;
  #written = 0;
  #onDisk = 0;
  readonly #recent: Piece[] = [];
  readonly #unwritten: Piece[] = [];
  #writing: Promise<void> | undefined;
  #diskFailure: { readonly error: unknown } | undefined;
  #sealed = false;
  #failure: { readonly error: unknown } | undefined;
  #holders = 1;
  #changed = Promise.withResolvers<undefined>();

  private constructor(handle: FileHandle, onClosed: () => void) {
    this.#handle = handle;
    this.#onClosed = onClosed;
  }

  /** @param onClosed called when the creator and the last reader are gone and the disk space is free again. */
  static async create(path: string, onClosed: () => void = () => undefined): Promise<GrowingFile> {
    const handle = await open(path, 'wx+', 0o600);
    await unlink(path);
    return new GrowingFile(handle, onClosed);
  }

  /** Bytes appended so far. */
  get written(): number {
    return this.#written;
  }

  get sealed(): boolean {
    return this.#sealed;
  }

  /**
   * Adds behind the last byte, for readers to see at once; the disk follows. The chunk must not change any more.
   * Only one call at a time. @throws when the disk does not take what was appended before
   */
  async append(chunk: Uint8Array): Promise<void> {
    this.#throwIfDiskFailed();
    if (chunk.byteLength === 0) return;
    const piece = { offset: this.#written, bytes: chunk };
    this.#recent.push(piece);
    this.#unwritten.push(piece);
    this.#written += chunk.byteLength;
    this.#notify();
    this.#writing ??= this.#writeOut();
    if (this.#written - this.#onDisk > UNWRITTEN_BYTES) await this.#writing;
    this.#throwIfDiskFailed();
  }

  /** Resolves when the disk has all that was appended. @throws when it does not take it */
  async flush(): Promise<void> {
    await this.#writing;
    this.#throwIfDiskFailed();
  }

  /** Writes what waits, all pieces at once, as often as there is something. Does not throw: the next call of the writer does. */
  async #writeOut(): Promise<void> {
    try {
      while (this.#unwritten.length > 0) {
        const pieces = this.#unwritten.splice(0);
        await this.#writeFully(pieces.map(({ bytes }) => bytes));
        this.#forget();
      }
    } catch (error) {
      this.#diskFailure = { error };
    } finally {
      this.#writing = undefined;
    }
  }

  async #writeFully(buffers: Uint8Array[]): Promise<void> {
    while (buffers.length > 0) {
      const { bytesWritten } = await this.#handle.writev(buffers, this.#onDisk);
      this.#onDisk += bytesWritten;
      let left = bytesWritten;
      while (buffers[0] !== undefined && left >= buffers[0].byteLength)
        left -= buffers.shift()?.byteLength ?? 0;
      if (buffers[0] !== undefined) buffers[0] = buffers[0].subarray(left);
    }
  }

  #throwIfDiskFailed(): void {
    if (this.#diskFailure !== undefined) throw this.#diskFailure.error;
  }

  /** Lets go of what has been in memory for long enough and is on the disk. */
  #forget(): void {
    const until = Math.min(this.#onDisk, this.#written - RECENT_BYTES);
    const kept = this.#recent.findIndex(({ offset, bytes }) => offset + bytes.byteLength > until);
    this.#recent.splice(0, kept < 0 ? this.#recent.length : kept);
  }

  async #fromDisk(buffer: Buffer, offset: number, end: number): Promise<Uint8Array> {
    const wanted = Math.min(buffer.byteLength, Math.min(end, this.#onDisk) - offset);
    const { bytesRead } = await this.#handle.read(buffer, 0, wanted, offset);
    if (bytesRead === 0) throw new Error('a temporary file is shorter than what was written to it');
    return buffer.subarray(0, bytesRead);
  }

  #fromMemory(offset: number, end: number): Uint8Array | undefined {
    if (offset < (this.#recent[0]?.offset ?? Infinity)) return undefined;
    const piece = this.#recent.findLast((candidate) => candidate.offset <= offset);
    return piece?.bytes.subarray(offset - piece.offset, end - piece.offset);
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
   * The bytes of `range` as they arrive. A yielded chunk is valid until the next one is asked for, unless the reader says that it
   * keeps them: a buffer is used again.
   * @throws what `fail` was given, or the signal's reason.
   */
  async *follow(
    range: ByteRange,
    signal: AbortSignal,
    { keepsChunks = false }: FollowOptions = {},
  ): AsyncGenerator<Uint8Array, void, undefined> {
    const release = this.hold();
    if (release === undefined) throw new Error('a temporary file that is closed cannot be read');
    const wake = (): void => {
      this.#notify();
    };
    signal.addEventListener('abort', wake, { once: true });
    try {
      let buffer: Buffer | undefined;
      let offset = range.start;
      for (;;) {
        signal.throwIfAborted();
        const readable = this.#readableUntil(range.end);
        if (offset < readable) {
          let chunk = this.#fromMemory(offset, readable);
          if (chunk === undefined) {
            buffer = (keepsChunks ? undefined : buffer) ?? Buffer.allocUnsafeSlow(READ_BYTES);
            chunk = await this.#fromDisk(buffer, offset, readable);
          }
          offset += chunk.byteLength;
          yield chunk;
        } else if (this.#sealed || (range.end !== undefined && offset >= range.end)) {
          return;
        } else if (this.#failure !== undefined) {
          throw this.#failure.error;
        } else {
          await this.#changed.promise;
        }
      }
    } finally {
      signal.removeEventListener('abort', wake);
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

  #letGo(): void {
    this.#holders -= 1;
    if (this.#holders === 0) void this.#handle.close().finally(this.#onClosed);
  }

  #readableUntil(end: number | undefined): number {
    const readable = this.#sealed ? this.#written : Math.max(0, this.#written - 1);
    return end === undefined ? readable : Math.min(readable, end);
  }

  #notify(): void {
    this.#changed.resolve(undefined);
    this.#changed = Promise.withResolvers();
  }
}
