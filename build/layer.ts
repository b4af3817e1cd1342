/**
 * An image layer from a folder: the same bytes for the same files, cached under a key of what it is made
 * from.
 */
import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import { withFileLock } from './file-lock.ts';
import { cacheFolder } from './go-tool.ts';

export interface Layer {
  /** Of the compressed bytes: what a manifest names. */
  readonly digest: string;
  /** Of the uncompressed bytes: what a config names (OCI image-spec, config.md). */
  readonly diffId: string;
  /** Compressed, in bytes. */
  readonly size: number;
  /** The compressed layer. */
  readonly file: string;
  readonly createdBy: string;
}

/**
 * A layer whose content depends on `key` alone. When the cache lacks it, `fill` puts its files below the
 * folder it is given.
 */
export interface LayerRecipe {
  readonly name: string;
  readonly key: readonly string[];
  readonly createdBy: string;
  readonly fill: (root: string) => Promise<void>;
}

export async function makeLayer(recipe: LayerRecipe): Promise<Layer> {
  const key = createHash('sha256').update(JSON.stringify(recipe.key)).digest('hex').slice(0, 16);
  const folder = join(cacheFolder(), 'layers', `${recipe.name}-${key}`);
  return await withFileLock(`${folder}.lock`, async () => {
    const known = await readFile(join(folder, 'layer.json'), 'utf8').catch(() => undefined);
    if (known !== undefined)
      return { ...(JSON.parse(known) as Omit<Layer, 'file'>), file: join(folder, 'layer.tar.gz') };
    return await build(recipe, folder);
  });
}

async function build({ createdBy, fill }: LayerRecipe, folder: string): Promise<Layer> {
  const unfinished = `${folder}.unfinished`;
  await rm(unfinished, { recursive: true, force: true });
  await rm(folder, { recursive: true, force: true });
  const root = join(unfinished, 'root');
  await mkdir(root, { recursive: true });
  try {
    await fill(root);
    const layer = { ...(await pack(root, join(unfinished, 'layer.tar.gz'))), createdBy };
    await writeFile(join(unfinished, 'layer.json'), JSON.stringify(layer));
    await rm(root, { recursive: true });
    await rename(unfinished, folder);
    return { ...layer, file: join(folder, 'layer.tar.gz') };
  } finally {
    await rm(unfinished, { recursive: true, force: true });
  }
}

/** Owner, order and times are fixed, so that the archive depends only on names, modes and contents. */
const TAR = [
  '--sort=name',
  '--mtime=@0',
  '--owner=0',
  '--group=0',
  '--numeric-owner',
  '--format=gnu',
  '--mode=u+rwX,go+rX,go-w',
];

async function pack(root: string, file: string): Promise<{ digest: string; diffId: string; size: number }> {
  const tar = spawn('tar', [...TAR, '-C', root, '-cf', '-', '.'], { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = once(tar, 'close') as Promise<[number | null]>;
  const plain = createHash('sha256');
  const tee = new PassThrough();
  tee.on('data', (chunk: Buffer) => plain.update(chunk));
  await pipeline(tar.stdout, tee, createGzip({ level: 6 }), createWriteStream(file));
  const [code] = await ended;
  if (code !== 0) throw new Error(`tar ended with ${code ?? 'a signal'} on ${root}`);
  const packed = createHash('sha256');
  await pipeline(createReadStream(file), packed);
  return {
    digest: `sha256:${packed.digest('hex')}`,
    diffId: `sha256:${plain.digest('hex')}`,
    size: (await stat(file)).size,
  };
}
