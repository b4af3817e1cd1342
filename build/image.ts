/**
 * `make image`: Larder's container image as an OCI layout, without Docker. Tests build it for their own
 * architecture only.
 */
import { copyFile, mkdir, readFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { bundle, hashSources } from './bundle.ts';
import { installDebian } from './debian.ts';
import { withFileLock } from './file-lock.ts';
import { type Layer, makeLayer } from './layer.ts';
import { ARCHITECTURES, type Architecture, type ImageLock, readLock } from './lock-file.ts';
import { installNode } from './node-binary.ts';
import { writeLayout } from './oci-layout.ts';
import { runProgram, UsageError } from './program.ts';
import { buildRegistry, buildSteerPort } from './programs.ts';

const ROOT = join(import.meta.dirname, '..');
const REPOSITORY = 'ghcr.io/larder-dev/larder';
/** Compressed, for one architecture, in bytes. */
const MAX_SIZE = 90 * 1000 * 1000;

export interface ImageOptions {
  /** Default: all. */
  readonly architectures?: readonly Architecture[];
  /** Progress for a person. */
  readonly report?: (line: string) => void;
}

export interface BuiltImage {
  /** The OCI layout. */
  readonly folder: string;
  readonly reference: string;
  /** Digest of the index. */
  readonly digest: string;
  /** Compressed bytes for each architecture. */
  readonly sizes: Readonly<Partial<Record<Architecture, number>>>;
}

/** @throws {Error} when an ingredient is not the pinned one, or the image grows beyond its limit. */
export async function buildImage(options: ImageOptions = {}): Promise<BuiltImage> {
  const { architectures = ARCHITECTURES, report = () => undefined } = options;
  const folder = join(
    ROOT,
    '.build',
    architectures.length === ARCHITECTURES.length ? 'image' : `image-${architectures.join('-')}`,
  );
  return await withFileLock(`${folder}.lock`, async () => {
    const lock = await readLock();
    const app = await appLayer();
    const images = [];
    for (const arch of architectures) {
      report(`image for linux/${arch}: libraries, Node.js ${lock.node.version}, registry, our own programs`);
      images.push({ arch, layers: [...(await baseLayers(lock, arch, report)), app] });
    }
    const { version } = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8')) as { version: string };
    const reference = `${REPOSITORY}:${version}`;
    const digest = await writeLayout(folder, reference, images);
    const sizes = Object.fromEntries(images.map(({ arch, layers }) => [arch, compressedSize(layers)]));
    return { folder, reference, digest, sizes };
  });
}

/** What changes seldom comes first, so that an upgrade moves few bytes. */
async function baseLayers(
  lock: ImageLock,
  arch: Architecture,
  report: (line: string) => void,
): Promise<Layer[]> {
  const programs = [await buildRegistry(arch, { report }), await buildSteerPort(arch, { report })];
  return [
    await makeLayer({
      name: `debian-${arch}`,
      key: ['2', JSON.stringify(lock.debian[arch])],
      createdBy: 'Debian: C and C++ libraries, certificate authorities',
      fill: (root) => installDebian(lock, arch, root),
    }),
    await makeLayer({
      name: `node-${arch}`,
      key: ['1', lock.node.version, lock.node.integrity[arch]],
      createdBy: `Node.js ${lock.node.version}`,
      fill: (root) => installNode(lock, arch, root),
    }),
    await makeLayer({
      name: `programs-${arch}`,
      key: ['1', ...programs.map((program) => basename(dirname(program)))],
      createdBy: 'CNCF distribution, steer-port',
      fill: async (root) => {
        const folder = join(root, 'usr/local/bin');
        await mkdir(folder, { recursive: true });
        for (const program of programs) await copyFile(program, join(folder, basename(program)));
      },
    }),
  ];
}

async function appLayer(): Promise<Layer> {
  return await makeLayer({
    name: 'app',
    key: ['2', await hashSources()],
    createdBy: 'Larder',
    fill: (root) => bundle(join(root, 'app')),
  });
}

function compressedSize(layers: readonly Layer[]): number {
  const size = layers.reduce((sum, layer) => sum + layer.size, 0);
  if (size > MAX_SIZE) throw new Error(`the image is ${size} bytes compressed; the limit is ${MAX_SIZE}`);
  return size;
}

const help = `make image                        the image for amd64 and arm64
make image PLATFORM=linux/amd64   for one architecture

Writes an OCI layout to .build/image (for one architecture to .build/image-ARCHITECTURE). Needs Go, apt-get and dpkg-deb.
`;

/** @throws {UsageError} */
function parseArchitecture(platform: string): Architecture {
  const found = ARCHITECTURES.find((arch) => platform === `linux/${arch}`);
  if (!found) throw new UsageError(`a platform is linux/amd64 or linux/arm64, not "${platform}"`);
  return found;
}

async function main(argv: readonly string[]): Promise<undefined> {
  const { values } = parseArgs({
    args: [...argv],
    options: { platform: { type: 'string', multiple: true } },
  });
  const architectures = values.platform?.map(parseArchitecture);
  const report = (line: string): void => {
    console.error(line);
  };
  const image = await buildImage({ report, ...(architectures ? { architectures } : {}) });
  console.log(`${image.reference}@${image.digest}`);
  for (const [arch, size] of Object.entries(image.sizes)) {
    console.log(`  linux/${arch.padEnd(6)} ${(size / 1e6).toFixed(1)} MB compressed`);
  }
  console.log(`OCI layout: ${image.folder.slice(ROOT.length + 1)}`);
}

if (import.meta.main) await runProgram(help, main);
