/** The id of a volume, by which an empty volume is told from the one that held the images. */
import { randomUUID } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';

/**
 * Reads the id from the file; a new volume has none and gets one.
 * @throws when the volume cannot be read or written
 */
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
