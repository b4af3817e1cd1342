import { createHash } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Layer } from './layer.ts';
import { writeLayout } from './oci-layout.ts';

const CONTENT = 'a layer';
const HEX = createHash('sha256').update(CONTENT).digest('hex');
const REFERENCE = 'registry.example.test/larder:1';

let scratch: string;
let folder: string;
let layers: readonly Layer[];
beforeEach(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'larder-layout-'));
  folder = join(scratch, 'layout');
  const file = join(scratch, 'layer.tar.gz');
  await writeFile(file, CONTENT);
  const digest = `sha256:${HEX}`;
  layers = [{ digest, diffId: digest, size: CONTENT.length, file, createdBy: 'a test' }];
});
afterEach(() => rm(scratch, { recursive: true }));

const write = (reference = REFERENCE): Promise<string> =>
  writeLayout(folder, reference, [{ arch: 'amd64', layers }]);

/** The files of the layout; another i-node is another file. */
async function files(): Promise<Map<string, number>> {
  const blobs = await readdir(join(folder, 'blobs/sha256'));
  const names = ['index.json', 'oci-layout', ...blobs.map((hex) => `blobs/sha256/${hex}`)];
  return new Map(
    await Promise.all(names.map(async (name) => [name, (await stat(join(folder, name))).ino] as const)),
  );
}

describe('a layout', () => {
  it('holds the index and all below it, each blob by its digest', async () => {
    const digest = await write();
    const entry = JSON.parse(await readFile(join(folder, 'index.json'), 'utf8')) as {
      manifests: { digest: string }[];
    };
    expect(entry.manifests.map((each) => each.digest)).toEqual([digest]);
    const blobs = await readdir(join(folder, 'blobs/sha256'));
    expect(blobs).toHaveLength(4); // index, manifest, config, layer
    for (const hex of blobs) {
      const bytes = await readFile(join(folder, 'blobs/sha256', hex));
      expect(createHash('sha256').update(bytes).digest('hex')).toBe(hex);
    }
  });

  it('is left alone when it is right already, since somebody may be reading it', async () => {
    const digest = await write();
    const before = await files();
    expect(await write()).toBe(digest);
    expect(await files()).toEqual(before);
  });

  it('is written again when it is another one, or incomplete', async () => {
    await write();
    await rm(join(folder, 'index.json'));
    await rm(join(folder, 'blobs/sha256', HEX));
    await write();
    expect(await readFile(join(folder, 'blobs/sha256', HEX), 'utf8')).toBe(CONTENT);
    await write('registry.example.test/larder:2');
    expect(await readFile(join(folder, 'index.json'), 'utf8')).toContain('larder:2');
  });
});
