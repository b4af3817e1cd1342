/** Measures how much space the images take and how much is left. */
import { opendir, stat, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../platform/clock.ts';

/** The result of a walk over the files is used for at least this long, */
const FRESH_MS = 1_000;
/** and for at least this many times as long as the walk took: even with very many files, walks are rare. */
const FRESH_TIMES = 10;

export interface VolumeUsage {
  /** Taken by the images, in bytes on disk. */
  readonly usedBytes: number;
  /** Left on the volume, in bytes. */
  readonly freeBytes: number;
  /** The whole volume, in bytes, whatever else is on it. */
  readonly sizeBytes: number;
}

interface Walk {
  readonly bytes: Promise<number>;
  /** By the monotonic clock. */
  freshUntil: number;
}

/**
 * Measures a folder. One walk over its files serves everybody who asks during it and for some time after it.
 */
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

  async volume(): Promise<VolumeUsage> {
    const [usedBytes, fs] = await Promise.all([this.#usedBytes(), statfs(this.#folder)]);
    return { usedBytes, freeBytes: fs.bavail * fs.bsize, sizeBytes: fs.blocks * fs.bsize };
  }

  /** Always walks over the files. */
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

/** The bytes on disk of all files below a folder. Files that come or go meanwhile may or may not count. */
export async function bytesBelow(folder: string): Promise<number> {
  let bytes = 0;
  for await (const entry of await opendir(folder, { recursive: true, bufferSize: 256 })) {
    if (entry.isFile()) bytes += await bytesOnDisk(join(entry.parentPath, entry.name));
  }
  return bytes;
}

/** stat(2) counts blocks of 512 bytes, whatever the block size of the file system is. */
async function bytesOnDisk(path: string): Promise<number> {
  return await stat(path).then(
    ({ blocks }) => blocks * 512,
    () => 0,
  );
}
