/** What the copier remembers for a short while: manifests by digest, and the digests of tags. */
import { LRUCache } from 'lru-cache';
import type { Digest } from '../../registry/core/digest.ts';
import type { VerifiedManifest } from '../../registry/client/manifests.ts';
import { blobsOf } from '../../registry/core/manifest.ts';

/**
 * The manifests used last, by the repository that they were fetched for. They save requests, and prove which
 * blobs a repository may be given from another one (docs/adr/0008).
 */
export class RecentManifests {
  readonly #manifests: LRUCache<string, VerifiedManifest>;

  /** @param limit bytes of manifests that are kept */
  constructor(limit: number) {
    this.#manifests = new LRUCache({ maxSize: limit, sizeCalculation: ({ bytes }) => bytes.byteLength });
  }

  get(repository: string, digest: Digest): VerifiedManifest | undefined {
    return this.#manifests.get(`${repository}@${digest}`);
  }

  /** Whether a manifest that was fetched for the repository refers to this blob. */
  refersTo(repository: string, blob: Digest): boolean {
    for (const [key, { manifest }] of this.#manifests.entries()) {
      if (manifest.kind !== 'image' || !key.startsWith(`${repository}@`)) continue;
      if (blobsOf(manifest).some(({ digest }) => digest === blob)) return true;
    }
    return false;
  }

  /**
   * Lets the repository have every blob that the manifest refers to, wherever the store has it. So the
   * manifest must have come from upstream for this repository, or from the store once upstream has answered
   * for this repository.
   */
  set(repository: string, manifest: VerifiedManifest): void {
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

  /** Notes what upstream has just said that the tag names. */
  set(repository: string, tag: string, digest: Digest): void {
    this.#tags.set(`${repository}:${tag}`, { digest, seenAt: this.#now() });
  }
}
