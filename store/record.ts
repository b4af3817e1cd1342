/** The record of the last collection, which outlives a restart. */
import { readFile, rename, writeFile } from 'node:fs/promises';
import { type Collection, collectionSchema } from '../api/store-api.ts';

/** The last collection; null when there was none, or its record cannot be read. */
export async function readRecord(file: string): Promise<Collection | null> {
  try {
    return collectionSchema.parse(JSON.parse(await readFile(file, 'utf8')));
  } catch {
    return null;
  }
}

/** @throws when the volume is full or not writable */
export async function writeRecord(file: string, record: Collection): Promise<void> {
  await writeFile(`${file}.new`, JSON.stringify(record));
  await rename(`${file}.new`, file);
}
