/**
 * Test images: they run (a static program waits in them), have the size asked for, and are the same for the
 * same seed.
 */
import { createCipheriv, createHash } from 'node:crypto';
import { tarBlock, tarEnd, tarHeader, tarOf } from './tar.ts';

export type Platform = 'linux/amd64' | 'linux/arm64';

const mediaTypes = {
  index: 'application/vnd.oci.image.index.v1+json',
  manifest: 'application/vnd.oci.image.manifest.v1+json',
  config: 'application/vnd.oci.image.config.v1+json',
  layer: 'application/vnd.oci.image.layer.v1.tar',
} as const;

/** Content that a registry names by the hash of its bytes; `bytes` generates them at each call. */
export interface Content {
  readonly mediaType: string;
  readonly digest: string;
  /** In bytes. */
  readonly size: number;
  bytes(): Iterable<Buffer>;
}

export interface PlatformImage {
  readonly platform: Platform;
  readonly manifest: Content;
  /** Config first, then layers. */
  readonly blobs: readonly Content[];
}

export interface TestImage {
  readonly index: Content;
  readonly images: readonly PlatformImage[];
}

export interface ImageRequest {
  /** Images of the same seed, sizes and platforms are the same, byte for byte. */
  readonly seed: string;
  readonly platforms: readonly Platform[];
  /** Bytes of each layer besides the program's: multiples of 512, at least 2048. They do not compress. */
  readonly layers: readonly number[];
  /** Images with the same value share these layers, and nothing else. Default: the seed. */
  readonly base?: string;
  /** The static program for each platform. */
  readonly program: Readonly<Record<Platform, Buffer>>;
}

export function buildImage(request: ImageRequest): TestImage {
  const images = request.platforms.map((platform) => platformImage(request, platform));
  const manifests = images.map(({ platform, manifest }) => {
    const [os, architecture] = platform.split('/');
    return { ...descriptor(manifest), platform: { os, architecture } };
  });
  return {
    index: json(mediaTypes.index, { schemaVersion: 2, mediaType: mediaTypes.index, manifests }),
    images,
  };
}

function platformImage(request: ImageRequest, platform: Platform): PlatformImage {
  const program = tarOf([
    { path: 'pause', content: request.program[platform], mode: 0o755 },
    // Makes the layer unique: no node has it from another image.
    { path: 'seed', content: Buffer.from(request.seed), mode: 0o644 },
  ]);
  const layers = [
    inMemory(mediaTypes.layer, program),
    ...request.layers.map((size, index) =>
      randomLayer(`${request.base ?? request.seed}/${platform}/${index}`, size),
    ),
  ];
  const [os, architecture] = platform.split('/');
  const config = json(mediaTypes.config, {
    os,
    architecture,
    created: '1970-01-01T00:00:00Z',
    config: { User: '65532:65532', Entrypoint: ['/pause'], Cmd: ['say', `seed ${request.seed}`] },
    rootfs: { type: 'layers', diff_ids: layers.map(({ digest }) => digest) },
  });
  const manifest = json(mediaTypes.manifest, {
    schemaVersion: 2,
    mediaType: mediaTypes.manifest,
    config: descriptor(config),
    layers: layers.map(descriptor),
  });
  return { platform, manifest, blobs: [config, ...layers] };
}

/** A layer with one file of noise, which neither transport nor disk can compress. */
function randomLayer(seed: string, size: number): Content {
  const content = size - tarBlock - tarEnd.length;
  if (size % tarBlock !== 0 || content < tarBlock) throw new RangeError(`no layer can have ${size} bytes`);
  function* bytes(): Iterable<Buffer> {
    yield tarHeader(`data/${createHash('sha256').update(seed).digest('hex').slice(0, 16)}`, content, 0o644);
    yield* noise(seed, content);
    yield tarEnd;
  }
  const hash = createHash('sha256');
  for (const chunk of bytes()) hash.update(chunk);
  return { mediaType: mediaTypes.layer, digest: `sha256:${hash.digest('hex')}`, size, bytes };
}

const noiseChunk = Buffer.alloc(1 << 20);

function* noise(seed: string, size: number): Iterable<Buffer> {
  const key = createHash('sha256').update(seed).digest();
  const cipher = createCipheriv('aes-256-ctr', key, Buffer.alloc(16));
  for (let left = size; left > 0; left -= noiseChunk.length) {
    yield cipher.update(left < noiseChunk.length ? noiseChunk.subarray(0, left) : noiseChunk);
  }
}

function json(mediaType: string, value: unknown): Content {
  return inMemory(mediaType, Buffer.from(JSON.stringify(value)));
}

function inMemory(mediaType: string, bytes: Buffer): Content {
  const digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
  return { mediaType, digest, size: bytes.length, bytes: () => [bytes] };
}

function descriptor({ mediaType, digest, size }: Content): object {
  return { mediaType, digest, size };
}

/** The image as an OCI layout in one archive, named for `ctr images import`. For small images only. */
export function ociArchive(image: TestImage, name: string): Buffer {
  const contents = [image.index, ...image.images.flatMap(({ manifest, blobs }) => [manifest, ...blobs])];
  const file = (path: string, content: Buffer): { path: string; content: Buffer; mode: number } => ({
    path,
    content,
    mode: 0o644,
  });
  const index = {
    schemaVersion: 2,
    manifests: [{ ...descriptor(image.index), annotations: { 'io.containerd.image.name': name } }],
  };
  const unique = new Map(contents.map((content) => [content.digest, content]));
  return tarOf([
    file('oci-layout', Buffer.from('{"imageLayoutVersion":"1.0.0"}')),
    file('index.json', Buffer.from(JSON.stringify(index))),
    ...[...unique.values()].map((content) =>
      file(`blobs/${content.digest.replace(':', '/')}`, Buffer.concat([...content.bytes()])),
    ),
  ]);
}
