/** Takes an image out of a repository: its tag, and those of its manifests that no other tag there leads to. */
import type { Digest } from '../core/digest.ts';
import type { ManifestReference } from '../core/distribution-path.ts';
import { RegistryError } from '../core/errors.ts';
import { isManifestMediaType } from '../core/media-types.ts';
import { listTags } from '../client/listing.ts';
import type { StoredManifest } from '../client/manifests.ts';
import { deleteManifest, getManifest } from '../client/manifests.ts';
import type { RepositoryClient } from '../client/repository-client.ts';
import { forEachLimited } from './limit.ts';

export interface RemovalTarget {
  readonly tag: string;
  /** What the tag is known to have named; needed when the tag may be gone already, or may never have been there. */
  readonly digest?: Digest | undefined;
}

const PARALLEL_READS = 8;

/**
 * A manifest without a tag keeps its blobs from being collected, so that deleting the tag alone would win no space. Nothing may
 * be tagged in the repository meanwhile: a registry deletes the tags of a manifest with it.
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
  const candidates = new Set<Digest>();
  for (const root of roots) await collect(client, root, candidates, signal);
  await deleteManifest(client, { tag }, signal);
  if (candidates.size === 0) return [];
  const needed = await neededByTags(client, signal);
  const removed = [...candidates].filter((candidate) => !needed.has(candidate));
  for (const unneeded of removed) await deleteManifest(client, { digest: unneeded }, signal);
  return removed;
}

async function neededByTags(client: RepositoryClient, signal: AbortSignal): Promise<ReadonlySet<Digest>> {
  const needed = new Set<Digest>();
  await forEachLimited(await tagsOf(client, signal), PARALLEL_READS, signal, async (tag, readSignal) => {
    const root = await find(client, { tag }, readSignal);
    if (root !== undefined) await collect(client, root.digest, needed, readSignal);
  });
  return needed;
}

/** Adds a manifest that is there and all that are below it, parents first; what is absent has nothing to add. */
async function collect(
  client: RepositoryClient,
  digest: Digest,
  into: Set<Digest>,
  signal: AbortSignal,
): Promise<void> {
  if (into.has(digest)) return;
  const found = await find(client, { digest }, signal);
  if (found === undefined) return;
  into.add(digest);
  if (found.manifest.kind !== 'index') return;
  for (const child of found.manifest.manifests) {
    if (isManifestMediaType(child.mediaType)) await collect(client, child.digest, into, signal);
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
