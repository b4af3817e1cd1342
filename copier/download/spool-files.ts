/**
 * Files without a name, so that a crash leaves nothing behind. Some are kept for the next blob: to overwrite what the kernel has at hand
 * costs a small part of what finding memory and disk anew does.
 */
import { randomUUID } from 'node:crypto';
import { mkdir, open, unlink, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';

/** So much may lie in files that nobody uses. */
const KEPT_BYTES = 512 * 2 ** 20;
const KEPT_FILES = 64;
/** And for so long, in milliseconds. */
const KEPT_MS = 60_000;

export interface SpoolFile {
  readonly handle: FileHandle;
  /** That lie in it, and may be overwritten. */
  readonly bytes: number;
}

export class SpoolFiles {
  readonly #folder: string;
  readonly #kept: SpoolFile[] = [];
  #keptBytes = 0;
  #expiry: NodeJS.Timeout | undefined;

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** On the disk although nobody uses it. */
  get keptBytes(): number {
    return this.#keptBytes;
  }

  async take(): Promise<SpoolFile> {
    const kept = this.#kept.pop();
    if (kept !== undefined) {
      this.#keptBytes -= kept.bytes;
      return kept;
    }
    await mkdir(this.#folder, { recursive: true });
    const path = join(this.#folder, `${randomUUID()}.part`);
    const handle = await open(path, 'wx+', 0o600);
    await unlink(path);
    return { handle, bytes: 0 };
  }

  /** @param bytes that lie in it at most. Resolves when they are free, or kept. */
  async giveBack(handle: FileHandle, bytes: number): Promise<void> {
    if (this.#keptBytes + bytes > KEPT_BYTES || this.#kept.length === KEPT_FILES) {
      await handle.close();
      return;
    }
    this.#kept.push({ handle, bytes });
    this.#keptBytes += bytes;
    clearTimeout(this.#expiry);
    this.#expiry = setTimeout(() => void this.drop(), KEPT_MS).unref();
  }

  /** Frees what is kept. */
  async drop(): Promise<void> {
    clearTimeout(this.#expiry);
    this.#keptBytes = 0;
    await Promise.all(this.#kept.splice(0).map(({ handle }) => handle.close()));
  }
}
