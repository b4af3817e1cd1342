/** The bounded folder for blobs on their way: hands out growing files and counts the disk that they take. */
import { GrowingFile } from './growing-file.ts';
import { Slabs } from './buffer-pool.ts';
import { SpoolFiles } from './spool-files.ts';

/** There is no room for a blob: it must go to its reader without being kept. */
export class SpoolFull extends Error {
  override name = 'SpoolFull';
}

export interface Reservation {
  readonly file: GrowingFile;
  /** Asks for `bytes` in all. @throws SpoolFull */
  grow(bytes: number): void;
}

/** Memory that blobs on their way may take together beyond what they cannot do without. */
const MEMORY_BYTES = 16 * 2 ** 20;
/** So long, in milliseconds, one that cannot keep up may hold up the others: enough for a disk that is busy for a moment. */
const PATIENCE_MS = 1_000;

export class Spool {
  readonly #files: SpoolFiles;
  readonly #slabs = new Slabs(MEMORY_BYTES);
  readonly #limit: number;
  readonly #patienceMs: number;
  #reserved = 0;

  /** @param limit bytes that all blobs on their way may take together. */
  constructor(folder: string, limit: number, patienceMs = PATIENCE_MS) {
    this.#files = new SpoolFiles(folder);
    this.#limit = limit;
    this.#patienceMs = patienceMs;
  }

  /** Bytes spoken for at present. */
  get reserved(): number {
    return this.#reserved;
  }

  /**
   * Room for a blob, which is free again when the file is closed and its last reader has gone.
   * @param size bytes; undefined when they are not known yet
   * @throws SpoolFull when they do not fit.
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
      if (this.#reserved + this.#files.keptBytes > this.#limit) void this.#files.drop();
    };
    const release = (): void => {
      this.#reserved -= mine;
      mine = 0;
    };
    grow(size ?? 0);
    try {
      const { handle, bytes: lying } = await this.#files.take();
      const onClosed = (): void => {
        // What is read again and again the kernel takes for memory that is needed, and would not give up for us.
        const done = file.wasReadFromDisk
          ? handle.close()
          : this.#files.giveBack(handle, Math.max(lying, mine));
        void done.finally(release);
      };
      const [slabs, patienceMs] = [this.#slabs, this.#patienceMs];
      const file = new GrowingFile(handle, { slabs, size, patienceMs, onClosed });
      return { file, grow };
    } catch (error) {
      release();
      throw error;
    }
  }

  /** Frees what is kept for the next blobs. */
  async close(): Promise<void> {
    await this.#files.drop();
  }
}
