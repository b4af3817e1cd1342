/** What the copier remembers for a short while: manifests by digest, and the digests of tags. */
import { LRUCache } from 'lru-cache';
import type { Digest } from '../../registry/core/digest.ts';
import type { StoredManifest } from '../../registry/client/manifests.ts';
import { blobsOf } from '../../registry/core/manifest.ts';

/** The manifests used last, by repository. */
export class RecentManifests {
  readonly #manifests: LRUCache<string, StoredManifest>;

  /** @param limit bytes of manifests that are kept */
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

interface SeenTag {
  readonly digest: Digest;
  readonly seenAt: number;
}

const MAX_TAGS = 10_000;

/** The digests that upstream gave for tags, while they are fresh enough to be served without asking again. */
export class FreshTags {
  readonly #now: () => number;
  readonly #tags = new LRUCache<string, SeenTag>({ max: MAX_TAGS });

  /** @param now milliseconds of a clock that never jumps */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** @param freshForMs how old the answer may be, in milliseconds */
  get(repository: string, tag: string, freshForMs: number): Digest | undefined {
    const seen = this.#tags.get(`${repository}:${tag}`);
    return seen !== undefined && this.#now() - seen.seenAt < freshForMs ? seen.digest : undefined;
  }

  set(repository: string, tag: string, digest: Digest): void {
    this.#tags.set(`${repository}:${tag}`, { digest, seenAt: this.#now() });
  }
}
