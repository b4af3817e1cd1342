/** The bounded folder for blobs on their way: hands out growing files and counts the disk that they take. */
import { randomUUID } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { GrowingFile } from './growing-file.ts';

/** There is no room for a blob: it must go to its reader without being kept. */
export class SpoolFull extends Error {
  override name = 'SpoolFull';
}

export interface Reservation {
  readonly file: GrowingFile;
  /** Asks for `bytes` in all. @throws SpoolFull */
  grow(bytes: number): void;
}

export class Spool {
  readonly #folder: string;
  readonly #limit: number;
  #reserved = 0;

  /** @param limit bytes that all blobs on their way may take together. */
  constructor(folder: string, limit: number) {
    this.#folder = folder;
    this.#limit = limit;
  }

  /** Bytes spoken for at present. */
  get reserved(): number {
    return this.#reserved;
  }

  /**
   * Room for `bytes`, which is free again when the file is closed and its last reader has gone.
   * @throws SpoolFull when they do not fit.
   */
  async reserve(bytes: number): Promise<Reservation> {
    let mine = 0;
    const grow = (wanted: number): void => {
      const more = wanted - mine;
      if (more <= 0) return;
      if (this.#reserved + more > this.#limit)
        throw new SpoolFull(`no room for ${wanted} bytes in the spool`);
      this.#reserved += more;
      mine = wanted;
    };
    const release = (): void => {
      this.#reserved -= mine;
      mine = 0;
    };
    grow(bytes);
    try {
      await mkdir(this.#folder, { recursive: true });
      return { file: await GrowingFile.create(join(this.#folder, `${randomUUID()}.part`), release), grow };
    } catch (error) {
      release();
      throw error;
    }
  }
}
