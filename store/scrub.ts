/**
 * Hashes the blobs on the volume, slowly and again and again. A corrupt one is removed, so that it is noticed
 * and copied again.
 */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { opendir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../platform/clock.ts';
import type { Logger } from '../platform/log.ts';
import { loop, type Component } from '../platform/run.ts';

export interface ScrubOptions {
  /** The root directory of the filesystem driver. */
  readonly root: string;
  /** At most. */
  readonly bytesPerSecond: number;
  /** Between two rounds, in milliseconds. */
  readonly pauseMs: number;
  readonly clock: Clock;
  readonly log: Logger;
}

/** distribution never writes a blob that exists again, so a corrupt one would stay corrupt. */
export function scrubber(options: ScrubOptions): Component {
  const { clock, log, pauseMs } = options;
  return loop('scrubber', async (signal) => {
    for (;;) {
      await clock.sleep(pauseMs, signal);
      await scrub(options, signal).catch((error: unknown) => {
        signal.throwIfAborted();
        log.warn('blobs could not be hashed', { error });
      });
    }
  });
}

/**
 * One round.
 * @returns the digests of the removed blobs.
 * @throws the signal's reason, or the error of a volume that cannot be read
 */
export async function scrub(
  { root, bytesPerSecond, clock, log }: Omit<ScrubOptions, 'pauseMs'>,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const removed: string[] = [];
  for await (const { algorithm, hex, file } of blobsBelow(join(root, 'docker/registry/v2/blobs'))) {
    const hashed = await hash(file, algorithm, signal);
    if (hashed === undefined) continue;
    if (hashed.hex !== hex) {
      log.error('removing a corrupt blob', { digest: `${algorithm}:${hex}`, bytes: hashed.bytes });
      await rm(file, { force: true });
      removed.push(`${algorithm}:${hex}`);
    }
    await clock.sleep((hashed.bytes / bytesPerSecond) * 1_000, signal);
  }
  return removed;
}

interface BlobFile {
  readonly algorithm: 'sha256' | 'sha512';
  readonly hex: string;
  readonly file: string;
}

async function* blobsBelow(folder: string): AsyncGenerator<BlobFile> {
  for (const algorithm of ['sha256', 'sha512'] as const) {
    for await (const prefix of foldersIn(join(folder, algorithm))) {
      for await (const hex of foldersIn(join(folder, algorithm, prefix))) {
        yield { algorithm, hex, file: join(folder, algorithm, prefix, hex, 'data') };
      }
    }
  }
}

/** Empty when the folder is gone: a collection may have removed it. */
async function* foldersIn(folder: string): AsyncGenerator<string> {
  try {
    for await (const entry of await opendir(folder)) if (entry.isDirectory()) yield entry.name;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
}

/**
 * Undefined when the file does not exist. distribution moves a blob to its name only when it is complete, so
 * all of it is read.
 */
async function hash(
  file: string,
  algorithm: string,
  signal: AbortSignal,
): Promise<{ readonly hex: string; readonly bytes: number } | undefined> {
  const sum = createHash(algorithm);
  let bytes = 0;
  try {
    for await (const chunk of createReadStream(file, { signal }) as AsyncIterable<Buffer>) {
      sum.update(chunk);
      bytes += chunk.byteLength;
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  return { hex: sum.digest('hex'), bytes };
}
