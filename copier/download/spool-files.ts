/**
 * Temporary files without a name, so that a crash leaves nothing behind. Some are kept for the next blob:
 * overwriting pages that the kernel has at hand costs a fraction of finding memory and disk space anew.
 */
import { randomUUID } from 'node:crypto';
import { mkdir, open, unlink, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';

/** At most this much disk space is kept in unused files, */
const KEPT_BYTES = 512 * 2 ** 20;
/** in at most this many of them, */
const KEPT_FILES = 64;
/** until none has been returned for this long, in milliseconds. */
const KEPT_MS = 60_000;

export interface SpoolFile {
  readonly handle: FileHandle;
  /** Old content, to be overwritten. */
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

  /** Disk space of the files that nobody uses. */
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

  /** Keeps the file, or closes it. @param bytes its length at most */
  async giveBack(handle: FileHandle, bytes: number): Promise<void> {
    if (this.#keptBytes + bytes > KEPT_BYTES || this.#kept.length === KEPT_FILES) {
      await handle.close();
      return;
    }
    this.#kept.push({ handle, bytes });
    this.#keptBytes += bytes;
    clearTimeout(this.#expiry);
    this.#expiry = setTimeout(() => void this.closeKept(), KEPT_MS).unref();
  }

  async closeKept(): Promise<void> {
    clearTimeout(this.#expiry);
    this.#keptBytes = 0;
    await Promise.all(this.#kept.splice(0).map(({ handle }) => handle.close()));
  }
}
