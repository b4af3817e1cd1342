/** Writes images as an OCI layout (image-spec, image-layout.md): a folder of blobs, and an index that names what is in it. */
import { createHash } from 'node:crypto';
import { copyFile, mkdir, rm, writeFile } from 'node:fs/promises';
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

/** Replaces `folder` by a layout that holds one index, known to importers as `reference`. Gives the index's digest. */
export async function writeLayout(
  folder: string,
  reference: string,
  images: readonly PlatformImage[],
): Promise<string> {
  await rm(folder, { recursive: true, force: true });
  const blobs = join(folder, 'blobs/sha256');
  await mkdir(blobs, { recursive: true });
  const manifests: object[] = [];
  for (const { arch, layers } of images) {
    for (const layer of layers) await copyFile(layer.file, join(blobs, layer.digest.slice('sha256:'.length)));
    const manifest = await writeManifest(blobs, arch, layers);
    manifests.push({ ...manifest, platform: { os: 'linux', architecture: arch } });
  }
  const mediaType = 'application/vnd.oci.image.index.v1+json';
  const index = await writeJson(blobs, mediaType, { schemaVersion: 2, mediaType, manifests });
  const annotations = {
    'io.containerd.image.name': reference,
    'org.opencontainers.image.ref.name': reference.slice(reference.lastIndexOf(':') + 1),
  };
  const entry = { schemaVersion: 2, mediaType, manifests: [{ ...index, annotations }] };
  await writeFile(join(folder, 'index.json'), JSON.stringify(entry));
  await writeFile(join(folder, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}');
  return index.digest;
}

async function writeManifest(
  blobs: string,
  arch: Architecture,
  layers: readonly Layer[],
): Promise<Descriptor> {
  const config = await writeJson(blobs, 'application/vnd.oci.image.config.v1+json', {
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
  return await writeJson(blobs, mediaType, {
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

async function writeJson(blobs: string, mediaType: string, value: object): Promise<Descriptor> {
  const bytes = Buffer.from(JSON.stringify(value));
  const hex = createHash('sha256').update(bytes).digest('hex');
  await writeFile(join(blobs, hex), bytes);
  return { mediaType, digest: `sha256:${hex}`, size: bytes.length };
}
