/** A temporary file that one writer lengthens while any number of readers follow it, each at its own pace. */
import { open, unlink, type FileHandle } from 'node:fs/promises';

const READ_BYTES = 256 * 1024;

export interface ByteRange {
  /** First byte wanted. */
  readonly start: number;
  /** Byte after the last one wanted; the end of the file when absent. */
  readonly end?: number | undefined;
}

/**
 * Readers see every byte but the last until `seal`, so that nobody can mistake content that nobody has verified for the whole.
 * The file has no name on disk once it is open: a crash leaves nothing behind.
 */
export class GrowingFile {
  readonly #handle: FileHandle;
  readonly #onClosed: () => void;
  #written = 0;
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

  /** Writes behind the last byte. Only one call at a time. */
  async append(chunk: Uint8Array): Promise<void> {
    let done = 0;
    while (done < chunk.byteLength) {
      const { bytesWritten } = await this.#handle.write(
        chunk,
        done,
        chunk.byteLength - done,
        this.#written + done,
      );
      done += bytesWritten;
    }
    this.#written += done;
    this.#notify();
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
   * The bytes of `range` as they arrive. A yielded chunk is valid until the next one is asked for: its buffer is used again.
   * @throws what `fail` was given, or the signal's reason.
   */
  async *follow(range: ByteRange, signal: AbortSignal): AsyncGenerator<Buffer, void, undefined> {
    const release = this.hold();
    if (release === undefined) throw new Error('a temporary file that is closed cannot be read');
    const wake = (): void => {
      this.#notify();
    };
    signal.addEventListener('abort', wake, { once: true });
    try {
      const buffer = Buffer.allocUnsafeSlow(READ_BYTES);
      let offset = range.start;
      for (;;) {
        signal.throwIfAborted();
        const readable = this.#readableUntil(range.end);
        if (offset < readable) {
          const { bytesRead } = await this.#handle.read(
            buffer,
            0,
            Math.min(READ_BYTES, readable - offset),
            offset,
          );
          if (bytesRead === 0) throw new Error('a temporary file is shorter than what was written to it');
          offset += bytesRead;
          yield buffer.subarray(0, bytesRead);
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
