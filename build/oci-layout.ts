/**
 * Writes images as an OCI layout (image-spec, image-layout.md): a folder of blobs, and an index that lists
 * them.
 */
import { createHash } from 'node:crypto';
import { copyFile, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Layer } from './layer.ts';
import type { Architecture } from './lock-file.ts';

export interface PlatformImage {
  readonly arch: Architecture;
  readonly layers: readonly Layer[];
}

interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  /** In bytes. */
  readonly size: number;
}

/** The documents of a layout, by the hex of their digests. */
type Documents = Map<string, Buffer>;

/**
 * Makes `folder` a layout of one index, which importers know as `reference`. A folder that is this layout
 * already is not touched, since somebody may be reading it. Gives the index's digest.
 */
export async function writeLayout(
  folder: string,
  reference: string,
  images: readonly PlatformImage[],
): Promise<string> {
  const documents: Documents = new Map();
  const manifests = images.map(({ arch, layers }) => ({
    ...addManifest(documents, arch, layers),
    platform: { os: 'linux', architecture: arch },
  }));
  const mediaType = 'application/vnd.oci.image.index.v1+json';
  const index = addDocument(documents, mediaType, { schemaVersion: 2, mediaType, manifests });
  const annotations = {
    'io.containerd.image.name': reference,
    'org.opencontainers.image.ref.name': reference.slice(reference.lastIndexOf(':') + 1),
  };
  const entry = JSON.stringify({ schemaVersion: 2, mediaType, manifests: [{ ...index, annotations }] });
  // Written last: when it is there, everything is.
  const entryFile = join(folder, 'index.json');
  if ((await readFile(entryFile, 'utf8').catch(() => undefined)) === entry) return index.digest;

  await rm(folder, { recursive: true, force: true });
  const blobs = join(folder, 'blobs/sha256');
  await mkdir(blobs, { recursive: true });
  for (const { file, digest } of images.flatMap(({ layers }) => layers))
    await copyFile(file, join(blobs, digest.slice('sha256:'.length)));
  for (const [hex, bytes] of documents) await writeFile(join(blobs, hex), bytes);
  await writeFile(join(folder, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}');
  await writeFile(entryFile, entry);
  return index.digest;
}

function addManifest(documents: Documents, arch: Architecture, layers: readonly Layer[]): Descriptor {
  const config = addDocument(documents, 'application/vnd.oci.image.config.v1+json', {
    architecture: arch,
    os: 'linux',
    created: '1970-01-01T00:00:00Z',
    config: {
      User: '65532:65532',
      WorkingDir: '/app',
      Env: ['PATH=/usr/local/bin', 'NODE_ENV=production'],
      Entrypoint: ['node'],
      Labels: {
        'org.opencontainers.image.title': 'larder',
        'org.opencontainers.image.licenses': 'Apache-2.0',
      },
    },
    rootfs: { type: 'layers', diff_ids: layers.map(({ diffId }) => diffId) },
    history: layers.map(({ createdBy }) => ({ created: '1970-01-01T00:00:00Z', created_by: createdBy })),
  });
  const mediaType = 'application/vnd.oci.image.manifest.v1+json';
  return addDocument(documents, mediaType, {
    schemaVersion: 2,
    mediaType,
    config,
    layers: layers.map(({ digest, size }) => ({
      mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip',
      digest,
      size,
    })),
  });
}

function addDocument(documents: Documents, mediaType: string, value: object): Descriptor {
  const bytes = Buffer.from(JSON.stringify(value));
  const hex = createHash('sha256').update(bytes).digest('hex');
  documents.set(hex, bytes);
  return { mediaType, digest: `sha256:${hex}`, size: bytes.length };
}
