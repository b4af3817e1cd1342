/** What the hostile registry holds: an image for every repository, made from its name when somebody asks. */
import { buildImage, type Content, type PlatformImage } from '../cluster/images.ts';

/** The one tag of every repository. */
export const TAG = 'v1';

const LAYER_BYTES = 256 * 1024;
/** At 1 KB/s this still comes within a few seconds. */
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

/** The digest under which `TAG` of a repository is found. */
export function digestOfTag(repository: string): string {
  return make(repository).tagged.digest;
}

/** Two platforms, one of which no node of a test cluster has; a repository named `…/single` has no index. */
function make(repository: string): Held {
  const program = Buffer.from(`not run: ${repository}`);
  const { index, images } = buildImage({
    seed: repository,
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

function ours(images: readonly PlatformImage[]): PlatformImage {
  const platform = process.arch === 'arm64' ? 'linux/arm64' : 'linux/amd64';
  const found = images.find((image) => image.platform === platform);
  if (found === undefined) throw new Error(`no image for ${platform}`);
  return found;
}

function byDigest(contents: readonly Content[]): Map<string, Content> {
  return new Map(contents.map((content) => [content.digest, content]));
}
