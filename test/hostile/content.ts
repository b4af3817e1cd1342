/** The content of the hostile registry: an image for every repository, made from its name on request. */
import { createHash } from 'node:crypto';
import { buildImage, type Content, type PlatformImage } from '../cluster/images.ts';

/** The one tag of every repository. */
export const TAG = 'v1';

const LAYER_BYTES = 256 * 1024;
/** Small enough to arrive within a few seconds at 1 KB/s. */
const SLOW_LAYER_BYTES = 2048;

interface Held {
  readonly tagged: Content;
  readonly manifests: ReadonlyMap<string, Content>;
  readonly blobs: ReadonlyMap<string, Content>;
}

export class HostileContent {
  readonly #repositories = new Map<string, Held>();

  /** @param reference tag or digest */
  manifest(repository: string, reference: string): Content | undefined {
    const { tagged, manifests } = this.#held(repository);
    return reference === TAG ? tagged : manifests.get(reference);
  }

  blob(repository: string, digest: string): Content | undefined {
    return this.#held(repository).blobs.get(digest);
  }

  #held(repository: string): Held {
    const known = this.#repositories.get(repository);
    if (known !== undefined) return known;
    const made = make(repository);
    this.#repositories.set(repository, made);
    return made;
  }
}

/** The digest that `TAG` of a repository names. */
export function digestOfTag(repository: string): string {
  return make(repository).tagged.digest;
}

/**
 * An index of two platforms, one of which no node of a test cluster has; a repository named `…/single` has no
 * index. Those named `…/based-…` share their layers; `thief/<hex>` claims to have the layer with that SHA-256
 * digest, but does not.
 */
function make(repository: string): Held {
  const [, stolen] = /^thief\/([0-9a-f]{64})$/.exec(repository) ?? [];
  if (stolen !== undefined) return thief(stolen);
  const program = Buffer.from(`not run: ${repository}`);
  const { index, images } = buildImage({
    seed: repository,
    ...(repository.includes('/based-') ? { base: 'based' } : {}),
    platforms: ['linux/amd64', 'linux/arm64'],
    layers: [repository.startsWith('slow/') ? SLOW_LAYER_BYTES : LAYER_BYTES],
    program: { 'linux/amd64': program, 'linux/arm64': program },
  });
  const tagged = repository.endsWith('/single') ? ours(images).manifest : index;
  return {
    tagged,
    manifests: byDigest([index, ...images.map(({ manifest }) => manifest)]),
    blobs: byDigest(images.flatMap(({ blobs }) => blobs)),
  };
}

function thief(hex: string): Held {
  const config = content('application/vnd.oci.image.config.v1+json', { os: 'linux', architecture: 'amd64' });
  const layer = {
    mediaType: 'application/vnd.oci.image.layer.v1.tar',
    digest: `sha256:${hex}`,
    size: LAYER_BYTES,
  };
  const mediaType = 'application/vnd.oci.image.manifest.v1+json';
  const { digest, size } = config;
  const described = { mediaType: config.mediaType, digest, size };
  const manifest = content(mediaType, { schemaVersion: 2, mediaType, config: described, layers: [layer] });
  return { tagged: manifest, manifests: byDigest([manifest]), blobs: byDigest([config]) };
}

function content(mediaType: string, value: object): Content {
  const bytes = Buffer.from(JSON.stringify(value));
  const digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
  return { mediaType, digest, size: bytes.length, bytes: () => [bytes] };
}

function ours(images: readonly PlatformImage[]): PlatformImage {
  const platform = process.arch === 'arm64' ? 'linux/arm64' : 'linux/amd64';
  const found = images.find((image) => image.platform === platform);
  if (found === undefined) throw new Error(`no image for ${platform}`);
  return found;
}

function byDigest(contents: readonly Content[]): Map<string, Content> {
  return new Map(contents.map((content) => [content.digest, content]));
}
