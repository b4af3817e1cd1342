/** How much space the images take and how much is left. */
import { opendir, stat, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../platform/clock.ts';

/** What a walk over the files found is good for so long. */
const FRESH_MS = 60_000;

export interface Volume {
  /** Taken by images, in bytes on disk. */
  readonly usedBytes: number;
  /** Left on the volume, in bytes. */
  readonly freeBytes: number;
  /** The whole volume, in bytes; what else lies on it counts too. */
  readonly sizeBytes: number;
}

/** Measures a folder; a walk over its files is made once for all who ask within a minute. */
export class UsageMeter {
  private readonly folder: string;
  private readonly clock: Clock;
  private walk: { readonly at: number; readonly bytes: Promise<number> } | undefined;

  constructor(folder: string, clock: Clock) {
    this.folder = folder;
    this.clock = clock;
  }

  async volume(): Promise<Volume> {
    const [usedBytes, fs] = await Promise.all([this.usedBytes(), statfs(this.folder)]);
    return { usedBytes, freeBytes: fs.bavail * fs.bsize, sizeBytes: fs.blocks * fs.bsize };
  }

  /** Walks anew, whatever was found before. */
  measure(): Promise<number> {
    this.walk = { at: this.clock.monotonic(), bytes: bytesBelow(this.folder) };
    return this.walk.bytes;
  }

  private usedBytes(): Promise<number> {
    const fresh = this.walk && this.clock.monotonic() - this.walk.at < FRESH_MS;
    return fresh && this.walk ? this.walk.bytes : this.measure();
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
