/** What is remembered of the last collection, beyond a restart. */
import { readFile, rename, writeFile } from 'node:fs/promises';
import { z } from 'zod';

const collection = z.object({
  /** RFC 3339. */
  startedAt: z.iso.datetime(),
  /** How long the writing registry was away, draining included. */
  seconds: z.number().nonnegative(),
  /** Bytes on disk that were won; null where they cannot be counted (object stores). */
  freedBytes: z.number().nullable(),
  /** Why it failed; absent when it did not. */
  error: z.string().optional(),
});
export type Collection = z.infer<typeof collection>;

/** The last collection; null when there was none, or when what is written cannot be read any more. */
export async function readRecord(file: string): Promise<Collection | null> {
  try {
    return collection.parse(JSON.parse(await readFile(file, 'utf8')));
  } catch {
    return null;
  }
}

/** @throws when the volume is full or may not be written */
export async function writeRecord(file: string, record: Collection): Promise<void> {
  await writeFile(`${file}.new`, JSON.stringify(record));
  await rename(`${file}.new`, file);
}
