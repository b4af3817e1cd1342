/** What the copier remembers for a short while: manifests by digest, and which digest a tag was found to have. */
import { LRUCache } from 'lru-cache';
import type { Digest } from '../../registry/core/digest.ts';
import type { StoredManifest } from '../../registry/client/manifests.ts';
import { blobsOf } from '../../registry/core/manifest.ts';

/** The manifests used last, by repository, at most so many bytes of them. */
export class RecentManifests {
  readonly #manifests: LRUCache<string, StoredManifest>;

  /** @param limit bytes */
  constructor(limit: number) {
    this.#manifests = new LRUCache({ maxSize: limit, sizeCalculation: ({ bytes }) => bytes.byteLength });
  }

  get(repository: string, digest: Digest): StoredManifest | undefined {
    return this.#manifests.get(`${repository}@${digest}`);
  }

  /** Whether one of the repository's manifests refers to this blob. */
  refersTo(repository: string, blob: Digest): boolean {
    for (const [key, { manifest }] of this.#manifests.entries()) {
      if (manifest.kind !== 'image' || !key.startsWith(`${repository}@`)) continue;
      if (blobsOf(manifest).some(({ digest }) => digest === blob)) return true;
    }
    return false;
  }

  set(repository: string, manifest: StoredManifest): void {
    this.#manifests.set(`${repository}@${manifest.digest}`, manifest);
  }
}

interface Sighting {
  readonly digest: Digest;
  readonly seenAt: number;
}

const MAX_TAGS = 10_000;

/** Which digest upstream gave for a tag, while that is fresh enough to be served without asking. */
export class FreshTags {
  readonly #now: () => number;
  readonly #sightings = new LRUCache<string, Sighting>({ max: MAX_TAGS });

  /** @param now milliseconds of a clock that never jumps */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** @param freshForMs how long a sighting is good for */
  get(repository: string, tag: string, freshForMs: number): Digest | undefined {
    const sighting = this.#sightings.get(`${repository}:${tag}`);
    return sighting !== undefined && this.#now() - sighting.seenAt < freshForMs ? sighting.digest : undefined;
  }

  set(repository: string, tag: string, digest: Digest): void {
    this.#sightings.set(`${repository}:${tag}`, { digest, seenAt: this.#now() });
  }
}
