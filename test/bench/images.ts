/** Images to measure with: as large as is asked, of noise, so that nothing on the way makes them smaller. */
import { createConnections } from '../../registry/transport/http/connector.ts';
import type { Authenticator } from '../../registry/transport/auth/authenticator.ts';
import { Transport } from '../../registry/transport/transport.ts';
import { putManifest } from '../../registry/client/manifests.ts';
import { RepositoryClient } from '../../registry/client/repository-client.ts';
import { uploadBlob } from '../../registry/client/upload.ts';
import { parseDigest } from '../../registry/core/digest.ts';
import { parseManifest } from '../../registry/core/manifest.ts';
import { testPrograms } from '../cluster/cluster.ts';
import { buildImage, type Content } from '../cluster/images.ts';

export const MIB = 2 ** 20;
export const GIB = 2 ** 30;

export interface Destination {
  readonly origin: string;
  readonly repository: string;
  readonly authenticator: Authenticator;
}

export interface PushedImage {
  /** Of the manifest for linux/amd64. */
  readonly digest: string;
  /** Of the layers that were asked for, in order. */
  readonly layers: readonly string[];
  /** Bytes of the manifest, its config and all its layers. */
  readonly bytes: number;
}

/** Pushes a linux/amd64 image with layers of the given bytes, beside a small one. @throws RegistryError */
export async function pushImage(
  { origin, repository, authenticator }: Destination,
  { tag, layers, seed }: { readonly tag: string; readonly layers: readonly number[]; readonly seed: string },
  signal: AbortSignal,
): Promise<PushedImage> {
  const program = await testPrograms(signal);
  const { images } = buildImage({ seed, platforms: ['linux/amd64'], layers, program });
  const [image] = images;
  if (image === undefined) throw new Error('an image for one platform was asked for');
  const connections = createConnections(() => ({}), { connectMs: 1_000 });
  const transport = new Transport(connections, { headMs: 120_000, silenceMs: 60_000 });
  const client = new RepositoryClient({ transport, origin, repository, authenticator });
  try {
    for (const blob of image.blobs) {
      const digest = parseDigest(blob.digest);
      await uploadBlob(client, { digest, size: blob.size, body: chunksOf(blob), signal });
    }
    const { digest, mediaType, size } = image.manifest;
    const content = Buffer.concat([...image.manifest.bytes()]);
    const manifest = {
      bytes: content,
      digest: parseDigest(digest),
      manifest: parseManifest(content, mediaType),
    };
    await putManifest(client, { tag }, manifest, signal);
    const blobs = image.blobs.map((blob) => blob.digest);
    return {
      digest,
      layers: blobs.slice(-layers.length),
      bytes: image.blobs.reduce((sum, blob) => sum + blob.size, size),
    };
  } finally {
    await transport.close();
  }
}

async function* chunksOf(content: Content): AsyncGenerator<Uint8Array> {
  // Each is a copy: the noise is made in one buffer over and over.
  for (const chunk of content.bytes()) yield await Promise.resolve(Uint8Array.from(chunk));
}
