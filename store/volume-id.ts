/** What a volume is known by, so that nobody takes an empty one for the one that held the images. */
import { randomUUID } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';

/** Reads the id that the file holds; a volume without one is new and gets one. @throws when the volume cannot be read or written */
export async function volumeId(file: string): Promise<string> {
  try {
    return (await readFile(file, 'utf8')).trim();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
  const id = randomUUID();
  await writeFile(file, `${id}\n`);
  return id;
}
