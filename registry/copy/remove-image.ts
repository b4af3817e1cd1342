/** Removes an image from a repository: its tag, and those of its manifests that no other tag leads to. */
import { attachedTo, referrersTag } from '../core/attached-tag.ts';
import type { Digest } from '../core/digest.ts';
import type { ManifestReference } from '../core/distribution-path.ts';
import { RegistryError } from '../core/errors.ts';
import { isManifestMediaType } from '../core/media-types.ts';
import { listTags } from '../client/listing.ts';
import { deleteManifest, getManifest, type VerifiedManifest } from '../client/manifests.ts';
import type { RepositoryClient } from '../client/repository-client.ts';
import { forEachLimited } from './limit.ts';

export interface RemovalTarget {
  readonly tag: string;
  /**
   * What the tag named, if known: without it nothing but the tag can be removed when that is gone already.
   */
  readonly digest?: Digest | undefined;
}

const PARALLEL_READS = 8;

/**
 * Deleting the tag alone would free no space, since the garbage collector keeps untagged manifests and their
 * blobs. What tags attach to a manifest (its referrers, cosign's signatures) is removed and kept with it.
 * Nothing may be tagged in the repository meanwhile: a registry that deletes a manifest deletes its tags,
 * too.
 * @returns the manifests that were deleted
 * @throws RegistryError; no manifest is deleted unless everything that the other tags lead to is known
 */
export async function removeImage(
  client: RepositoryClient,
  { tag, digest }: RemovalTarget,
  signal: AbortSignal,
): Promise<readonly Digest[]> {
  const named = await find(client, { tag }, signal);
  const roots = [...new Set([named?.digest, digest].filter((root) => root !== undefined))];
  const tags = (await tagsOf(client, signal)).filter((each) => each !== tag);
  const repository = new Contents(client, tags, signal);
  const candidates = await repository.below(roots);
  await deleteManifest(client, { tag }, signal);
  if (candidates.size === 0) return [];
  const attached = new Set([...candidates].flatMap((candidate) => repository.attachedTags(candidate)));
  const others = await repository.named(tags.filter((each) => !attached.has(each)));
  const needed = await repository.below(others);
  const removed = [...candidates].filter((candidate) => !needed.has(candidate));
  for (const unneeded of removed) {
    for (const each of repository.attachedTags(unneeded)) await deleteManifest(client, { tag: each }, signal);
    await deleteManifest(client, { digest: unneeded }, signal);
  }
  return removed;
}

/** Which manifests a repository's tags and manifests lead to. */
class Contents {
  readonly #client: RepositoryClient;
  readonly #signal: AbortSignal;
  /** Tags that attach something to a manifest, by that manifest's referrers tag. */
  readonly #attached: ReadonlyMap<string | undefined, readonly string[]>;

  constructor(client: RepositoryClient, tags: readonly string[], signal: AbortSignal) {
    this.#client = client;
    this.#signal = signal;
    this.#attached = Map.groupBy(tags, attachedTo);
  }

  attachedTags(digest: Digest): readonly string[] {
    return this.#attached.get(referrersTag(digest)) ?? [];
  }

  /** The manifests that tags name. */
  async named(tags: readonly string[]): Promise<readonly Digest[]> {
    const roots: Digest[] = [];
    await forEachLimited(tags, PARALLEL_READS, this.#signal, async (tag, signal) => {
      const root = await find(this.#client, { tag }, signal);
      if (root !== undefined) roots.push(root.digest);
    });
    return roots;
  }

  /**
   * Those of the manifests that are there, all below them and all attached to any of these; parents first.
   */
  async below(roots: readonly Digest[]): Promise<Set<Digest>> {
    const into = new Set<Digest>();
    await forEachLimited(roots, PARALLEL_READS, this.#signal, (root) => this.#collect(root, into));
    return into;
  }

  /** A manifest that is absent adds nothing. */
  async #collect(digest: Digest, into: Set<Digest>): Promise<void> {
    if (into.has(digest)) return;
    const found = await find(this.#client, { digest }, this.#signal);
    if (found === undefined) return;
    into.add(digest);
    const children = found.manifest.kind === 'index' ? found.manifest.manifests : [];
    for (const child of children) {
      if (isManifestMediaType(child.mediaType)) await this.#collect(child.digest, into);
    }
    for (const attached of await this.named(this.attachedTags(digest))) await this.#collect(attached, into);
  }
}

async function find(
  client: RepositoryClient,
  reference: ManifestReference,
  signal: AbortSignal,
): Promise<VerifiedManifest | undefined> {
  return await unlessAbsent(getManifest(client, reference, { signal }), undefined);
}

async function tagsOf(client: RepositoryClient, signal: AbortSignal): Promise<readonly string[]> {
  const tags: string[] = [];
  const list = async (): Promise<readonly string[]> => {
    for await (const tag of listTags(client, signal)) tags.push(tag);
    return tags;
  };
  return await unlessAbsent(list(), []);
}

async function unlessAbsent<T, U>(result: Promise<T>, absent: U): Promise<T | U> {
  try {
    return await result;
  } catch (error) {
    if (error instanceof RegistryError && error.reason === 'NotFound') return absent;
    throw error;
  }
}
