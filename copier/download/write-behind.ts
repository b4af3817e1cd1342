/** The disk behind a growing file: it takes in the background what memory has taken already. */
import type { FileHandle } from 'node:fs/promises';
import { BUFFER_BYTES } from './buffer-pool.ts';
import type { RecentBytes } from './recent-bytes.ts';

/** The writer is slowed down when more than this waits to be written. */
const MAX_UNWRITTEN_BYTES = 2 ** 20;

export class WriteBehind {
  readonly #handle: FileHandle;
  readonly #recent: RecentBytes;
  #onDisk = 0;
  #writing: Promise<void> | undefined;
  #failure: { readonly error: unknown } | undefined;
  #wasRead = false;

  /** @param handle what its file contains is overwritten */
  constructor(handle: FileHandle, recent: RecentBytes) {
    this.#handle = handle;
    this.#recent = recent;
  }

  /** Bytes that the disk has. */
  get onDisk(): number {
    return this.#onDisk;
  }

  get wasRead(): boolean {
    return this.#wasRead;
  }

  get isBacklogged(): boolean {
    return this.#recent.end - this.#onDisk > MAX_UNWRITTEN_BYTES;
  }

  /** Begins to write what waits. Never throws, see `throwIfFailed`. */
  write(): void {
    this.#writing ??= this.#writeAll();
  }

  throwIfFailed(): void {
    if (this.#failure !== undefined) throw this.#failure.error;
  }

  /** Resolves when nothing is being written any more; never rejects. */
  async idle(): Promise<void> {
    await this.#writing;
  }

  /** @param until must be past `offset` */
  async read(buffer: Buffer, offset: number, until: number): Promise<Uint8Array> {
    const wanted = Math.min(BUFFER_BYTES, Math.min(until, this.#onDisk) - offset);
    this.#wasRead = true;
    const { bytesRead } = await this.#handle.read(buffer, 0, wanted, offset);
    if (bytesRead === 0) throw new Error('a temporary file is shorter than what was written to it');
    return buffer.subarray(0, bytesRead);
  }

  /** All that waits goes out in one call, until nothing waits. */
  async #writeAll(): Promise<void> {
    try {
      while (this.#onDisk < this.#recent.end) {
        const { bytesWritten } = await this.#handle.writev(this.#recent.from(this.#onDisk), this.#onDisk);
        this.#onDisk += bytesWritten;
        this.#recent.drop(this.#onDisk);
      }
    } catch (error) {
      this.#failure = { error };
    } finally {
      this.#writing = undefined;
    }
  }
}
