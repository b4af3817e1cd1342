/** Images for tests: valid manifests and indexes over small made-up blobs. */
import { type Digest, digestOf } from '../../registry/core/digest.ts';
import { parseManifest } from '../../registry/core/manifest.ts';
import { OCI_INDEX, OCI_MANIFEST } from '../../registry/core/media-types.ts';
import { parsePlatform } from '../../registry/core/platform.ts';
import type { VerifiedManifest } from '../../registry/client/manifests.ts';

export interface TestImage {
  /** Children before parents; the last is the root. */
  readonly manifests: readonly VerifiedManifest[];
  readonly root: VerifiedManifest;
  readonly blobs: ReadonlyMap<Digest, Uint8Array>;
}

export function testManifest(json: object, mediaType: string): VerifiedManifest {
  const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType, ...json }, null, 2));
  return { bytes, digest: digestOf(bytes), manifest: parseManifest(bytes, mediaType) };
}

export function testDescriptor(
  bytes: Uint8Array,
  mediaType: string,
): { mediaType: string; digest: Digest; size: number } {
  return { mediaType, digest: digestOf(bytes), size: bytes.byteLength };
}

/** @param layers the contents of the layers; the text makes the image differ from others */
export function testImage(layers: readonly (string | Uint8Array)[], platform = 'linux/amd64'): TestImage {
  const config = Buffer.from(
    JSON.stringify({ ...parsePlatform(platform), config: {}, rootfs: { type: 'layers' } }),
  );
  const contents = layers.map((layer) => Buffer.from(layer));
  const root = testManifest(
    {
      config: testDescriptor(config, 'application/vnd.oci.image.config.v1+json'),
      layers: contents.map((layer) => testDescriptor(layer, 'application/vnd.oci.image.layer.v1.tar+gzip')),
    },
    OCI_MANIFEST,
  );
  return {
    root,
    manifests: [root],
    blobs: new Map([config, ...contents].map((bytes) => [digestOf(bytes), bytes])),
  };
}

/** An artifact with one blob that refers to an image, such as a signature or an SBOM. */
export function testArtifact(subject: VerifiedManifest, content: string, artifactType: string): TestImage {
  const empty = Buffer.from('{}');
  const blob = Buffer.from(content);
  const root = testManifest(
    {
      artifactType,
      config: testDescriptor(empty, 'application/vnd.oci.empty.v1+json'),
      layers: [testDescriptor(blob, 'application/octet-stream')],
      subject: testDescriptor(subject.bytes, subject.manifest.mediaType),
    },
    OCI_MANIFEST,
  );
  return { root, manifests: [root], blobs: new Map([empty, blob].map((bytes) => [digestOf(bytes), bytes])) };
}

/** An index of one image per platform. */
export function testIndex(images: Readonly<Record<string, TestImage>>): TestImage {
  const children = Object.entries(images).map(([platform, { root }]) => ({
    ...testDescriptor(root.bytes, root.manifest.mediaType),
    platform: parsePlatform(platform),
  }));
  const root = testManifest({ manifests: children }, OCI_INDEX);
  const all = Object.values(images);
  return {
    root,
    manifests: [...all.flatMap((image) => image.manifests), root],
    blobs: new Map(all.flatMap((image) => [...image.blobs])),
  };
}
