/** Takes an image out of a repository: its tag, and those of its manifests that no other tag there leads to. */
import { attachedTo, referrersTag } from '../core/attached-tag.ts';
import type { Digest } from '../core/digest.ts';
import type { ManifestReference } from '../core/distribution-path.ts';
import { RegistryError } from '../core/errors.ts';
import { isManifestMediaType } from '../core/media-types.ts';
import { listTags } from '../client/listing.ts';
import { deleteManifest, getManifest, type StoredManifest } from '../client/manifests.ts';
import type { RepositoryClient } from '../client/repository-client.ts';
import { forEachLimited } from './limit.ts';

export interface RemovalTarget {
  readonly tag: string;
  /** What the tag is known to have named; needed when the tag may be gone already, or may never have been there. */
  readonly digest?: Digest | undefined;
}

const PARALLEL_READS = 8;

/**
 * A manifest without a tag keeps its blobs from being collected, so that deleting the tag alone would win no space. What is attached to
 * a manifest by tags (its referrers, cosign's signatures) goes and stays with it. Nothing may be tagged in the repository meanwhile: a
 * registry deletes the tags of a manifest with it.
 * @returns the manifests that were deleted
 * @throws RegistryError; no manifest is deleted unless it is known what the other tags lead to
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

/** What leads where in a repository. */
class Contents {
  readonly #client: RepositoryClient;
  readonly #signal: AbortSignal;
  /** Tags that attach something, by the referrers' tag of what they attach it to. */
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

  /** Manifests that are there, all that are below them and all that is attached to those, parents first. */
  async below(roots: readonly Digest[]): Promise<Set<Digest>> {
    const into = new Set<Digest>();
    await forEachLimited(roots, PARALLEL_READS, this.#signal, (root) => this.#collect(root, into));
    return into;
  }

  /** What is absent has nothing to add. */
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
): Promise<StoredManifest | undefined> {
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

async function unlessAbsent<T, U>(answer: Promise<T>, absent: U): Promise<T | U> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof RegistryError && error.reason === 'NotFound') return absent;
    throw error;
  }
}
