/** How much space the images take and how much is left. */
import { opendir, stat, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../platform/clock.ts';

/** What a walk over the files found is good for so long at least. */
const FRESH_MS = 1_000;
/** And for so many times as long as it took: most of the time nobody walks, however many files there are. */
const FRESH_TIMES = 10;

export interface Volume {
  /** Taken by images, in bytes on disk. */
  readonly usedBytes: number;
  /** Left on the volume, in bytes. */
  readonly freeBytes: number;
  /** The whole volume, in bytes; what else lies on it counts too. */
  readonly sizeBytes: number;
}

interface Walk {
  readonly bytes: Promise<number>;
  /** Until when its result is good, by the monotonic clock. */
  freshUntil: number;
}

/** Measures a folder; one walk over its files serves all who ask meanwhile and for some time after. */
export class UsageMeter {
  readonly #folder: string;
  readonly #clock: Clock;
  readonly #count: (folder: string) => Promise<number>;
  #walk: Walk | undefined;

  constructor(folder: string, clock: Clock, count = bytesBelow) {
    this.#folder = folder;
    this.#clock = clock;
    this.#count = count;
  }

  async volume(): Promise<Volume> {
    const [usedBytes, fs] = await Promise.all([this.#usedBytes(), statfs(this.#folder)]);
    return { usedBytes, freeBytes: fs.bavail * fs.bsize, sizeBytes: fs.blocks * fs.bsize };
  }

  /** Walks anew, whatever was found before. */
  measure(): Promise<number> {
    const began = this.#clock.monotonic();
    const walk: Walk = { bytes: this.#count(this.#folder), freshUntil: Infinity };
    this.#walk = walk;
    const end = (): void => {
      const now = this.#clock.monotonic();
      walk.freshUntil = now + Math.max(FRESH_MS, FRESH_TIMES * (now - began));
    };
    walk.bytes.then(end, end);
    return walk.bytes;
  }

  #usedBytes(): Promise<number> {
    const walk = this.#walk;
    return walk !== undefined && this.#clock.monotonic() < walk.freshUntil ? walk.bytes : this.measure();
  }
}

/** Bytes on disk of every file below a folder. Files that come or go meanwhile may or may not count. */
export async function bytesBelow(folder: string): Promise<number> {
  let bytes = 0;
  for await (const entry of await opendir(folder, { recursive: true, bufferSize: 256 })) {
    if (entry.isFile()) bytes += await bytesOnDisk(join(entry.parentPath, entry.name));
  }
  return bytes;
}

/** A file's blocks are counted in units of 512 bytes, whatever the file system's own are (stat(2)). */
async function bytesOnDisk(path: string): Promise<number> {
  return await stat(path).then(
    ({ blocks }) => blocks * 512,
    () => 0,
  );
}
