/** What the copier remembers for a short while: manifests by digest, and which digest a tag was found to have. */
import type { Digest } from '../../registry/core/digest.ts';
import type { StoredManifest } from '../../registry/client/manifests.ts';
import { blobsOf } from '../../registry/core/manifest.ts';

/** The manifests used last, by repository, at most so many bytes of them. */
export class RecentManifests {
  readonly #limit: number;
  readonly #manifests = new Map<string, StoredManifest>();
  #size = 0;

  /** @param limit bytes */
  constructor(limit: number) {
    this.#limit = limit;
  }

  get(repository: string, digest: Digest): StoredManifest | undefined {
    const key = `${repository}@${digest}`;
    const found = this.#manifests.get(key);
    if (found !== undefined) {
      this.#manifests.delete(key);
      this.#manifests.set(key, found);
    }
    return found;
  }

  /** Whether one of the repository's manifests refers to this blob. */
  refersTo(repository: string, blob: Digest): boolean {
    for (const [key, { manifest }] of this.#manifests) {
      if (manifest.kind !== 'image' || !key.startsWith(`${repository}@`)) continue;
      if (blobsOf(manifest).some(({ digest }) => digest === blob)) return true;
    }
    return false;
  }

  set(repository: string, manifest: StoredManifest): void {
    const key = `${repository}@${manifest.digest}`;
    this.#drop(key);
    this.#manifests.set(key, manifest);
    this.#size += manifest.bytes.byteLength;
    for (const oldest of this.#manifests.keys()) {
      if (this.#size <= this.#limit) return;
      this.#drop(oldest);
    }
  }

  #drop(key: string): void {
    this.#size -= this.#manifests.get(key)?.bytes.byteLength ?? 0;
    this.#manifests.delete(key);
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
  readonly #sightings = new Map<string, Sighting>();

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
    const key = `${repository}:${tag}`;
    this.#sightings.delete(key);
    this.#sightings.set(key, { digest, seenAt: this.#now() });
    const [oldest] = this.#sightings.keys();
    if (this.#sightings.size > MAX_TAGS && oldest !== undefined) this.#sightings.delete(oldest);
  }
}
