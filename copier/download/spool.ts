/** The bounded folder of downloads: hands out growing files and accounts for their disk space. */
import { BufferPool } from './buffer-pool.ts';
import { GrowingFile } from './growing-file.ts';
import { SpoolFiles } from './spool-files.ts';

/** There is no room for a blob: it must go to its reader without being kept. */
export class SpoolFull extends Error {
  override name = 'SpoolFull';
}

export interface Reservation {
  readonly file: GrowingFile;
  /** Asks for `bytes` in total. @throws SpoolFull */
  grow(bytes: number): void;
}

/** What all growing files may hold in memory beyond the little that each needs. */
const MEMORY_BYTES = 16 * 2 ** 20;
/** How long a slow reader may hold up a download, in milliseconds: a disk may be busy for a moment. */
const PATIENCE_MS = 1_000;

export class Spool {
  readonly #files: SpoolFiles;
  readonly #pool = new BufferPool(MEMORY_BYTES);
  readonly #limit: number;
  readonly #patienceMs: number;
  #reserved = 0;

  /**
   * @param limit bytes of disk space for all files together
   * @param patienceMs see `GrowingFileOptions`
   */
  constructor(folder: string, limit: number, patienceMs = PATIENCE_MS) {
    this.#files = new SpoolFiles(folder);
    this.#limit = limit;
    this.#patienceMs = patienceMs;
  }

  /** Bytes reserved at present. */
  get reserved(): number {
    return this.#reserved;
  }

  /**
   * Reserves room for a blob; it is free again when the file is closed and its last reader has gone.
   * @param size bytes; undefined when they are not known yet
   * @throws SpoolFull when they do not fit
   */
  async reserve(size: number | undefined): Promise<Reservation> {
    let mine = 0;
    const grow = (wanted: number): void => {
      const more = wanted - mine;
      if (more <= 0) return;
      if (this.#reserved + more > this.#limit)
        throw new SpoolFull(`no room for ${wanted} bytes in the spool`);
      this.#reserved += more;
      mine = wanted;
      if (this.#reserved + this.#files.keptBytes > this.#limit) void this.#files.closeKept();
    };
    const release = (): void => {
      this.#reserved -= mine;
      mine = 0;
    };
    grow(size ?? 0);
    try {
      const { handle, bytes: oldBytes } = await this.#files.take();
      const onClosed = (): void => {
        // Pages that were read back count as memory in use: the kernel would not give them up for others.
        const done = file.wasReadFromDisk
          ? handle.close()
          : this.#files.giveBack(handle, Math.max(oldBytes, mine));
        void done.finally(release);
      };
      const [pool, patienceMs] = [this.#pool, this.#patienceMs];
      const file = new GrowingFile(handle, { pool, size, patienceMs, onClosed });
      return { file, grow };
    } catch (error) {
      release();
      throw error;
    }
  }

  /** Closes the files that are kept for later. */
  async close(): Promise<void> {
    await this.#files.closeKept();
  }
}
