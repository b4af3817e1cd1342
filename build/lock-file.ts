/**
 * What the container image is made of besides our own code: versions and hashes, in image.lock.json. `make
 * image-lock` renews it.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

export type Architecture = 'amd64' | 'arm64';
export const ARCHITECTURES: readonly Architecture[] = ['amd64', 'arm64'];

export interface DebianPin {
  readonly version: string;
  /** SHA-256 of the .deb, in hex. */
  readonly sha256: string;
}

export interface ImageLock {
  readonly node: {
    readonly version: string;
    /** Integrity of the npm package that carries the binary, as npm writes it (`sha512-…`). */
    readonly integrity: Readonly<Record<Architecture, string>>;
  };
  readonly debian: Readonly<Record<Architecture, Readonly<Record<string, DebianPin>>>>;
}

const FILE = join(import.meta.dirname, 'image.lock.json');

export async function readLock(): Promise<ImageLock> {
  return JSON.parse(await readFile(FILE, 'utf8')) as ImageLock;
}

export async function writeLock(lock: ImageLock): Promise<void> {
  await writeFile(FILE, `${JSON.stringify(lock, undefined, 2)}\n`);
}
