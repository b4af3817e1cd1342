import { chmod, mkdir, mkdtemp, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { makeLayer, type LayerRecipe } from './layer.ts';

const cache = process.env['LARDER_CACHE'];
let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'larder-layer-'));
  process.env['LARDER_CACHE'] = folder;
});
afterEach(async () => {
  if (cache === undefined) delete process.env['LARDER_CACHE'];
  else process.env['LARDER_CACHE'] = cache;
  await rm(folder, { recursive: true });
});

/** A layer with one program, written at a given time and by somebody with a narrow umask. */
function recipe(key: string, seconds: number, content = 'program'): LayerRecipe {
  return {
    name: 'test',
    key: [key],
    createdBy: 'a test',
    fill: async (root) => {
      await mkdir(join(root, 'usr/bin'), { recursive: true, mode: 0o700 });
      await writeFile(join(root, 'usr/bin/program'), content);
      await chmod(join(root, 'usr/bin/program'), 0o700);
      await utimes(join(root, 'usr/bin/program'), seconds, seconds);
    },
  };
}

describe('a layer', () => {
  it('has the same bytes for the same files, whenever and by whom they were written', async () => {
    const [first, second] = [await makeLayer(recipe('1', 1_000)), await makeLayer(recipe('2', 2_000))];
    expect(second.file).not.toBe(first.file);
    expect([second.digest, second.diffId]).toEqual([first.digest, first.diffId]);
    const other = await makeLayer(recipe('3', 1_000, 'another'));
    expect(other.digest).not.toBe(first.digest);
  });

  it('is readable by everybody and belongs to root', async () => {
    const { file } = await makeLayer(recipe('1', 1_000));
    const tar = gunzipSync(await readFile(file));
    const headers = [0, 512, 1024, 1536].map((at) => tar.subarray(at, at + 512));
    expect(headers.map((header) => field(header, 0, 100))).toEqual([
      './',
      './usr/',
      './usr/bin/',
      './usr/bin/program',
    ]);
    expect(headers.map((header) => field(header, 100, 8))).toEqual(Array(4).fill('0000755'));
    expect(headers.map((header) => field(header, 108, 8))).toEqual(Array(4).fill('0000000'));
  });

  it('is made once for a key, and left out of the cache when it cannot be made', async () => {
    const broken = { ...recipe('1', 1_000), fill: () => Promise.reject(new Error('no network')) };
    await expect(makeLayer(broken)).rejects.toThrow('no network');
    const made = await makeLayer(recipe('1', 1_000));
    expect(await makeLayer(broken)).toEqual(made);
  });
});

/** A text field of a tar header (POSIX ustar). */
function field(header: Buffer, at: number, length: number): string {
  return header
    .subarray(at, at + length)
    .toString('utf8')
    .replace(/\0.*$/s, '')
    .trim();
}
