/** Plans a copy: the manifests of an image, children before parents, and the blobs that they name. */
import type { Digest } from '../core/digest.ts';
import type { ManifestReference } from '../core/distribution-path.ts';
import { RegistryError } from '../core/errors.ts';
import { blobsOf, type Descriptor } from '../core/manifest.ts';
import { isManifestMediaType } from '../core/media-types.ts';
import { formatPlatform, type Platform } from '../core/platform.ts';
import { selectChildren, type Selection } from '../core/select.ts';
import type { VerifiedManifest } from '../client/manifests.ts';
import { forEachLimited } from './limit.ts';

export interface PlannedManifest extends VerifiedManifest {
  /** The blobs that it names, foreign layers aside; none for an index. */
  readonly blobs: readonly Descriptor[];
  /** An index of whose children some are left out. */
  readonly sparse: boolean;
}

export interface CopyPlan {
  /** Children before parents; the last one is the root. */
  readonly manifests: readonly PlannedManifest[];
  readonly root: PlannedManifest;
  /** Each once. */
  readonly blobs: readonly Descriptor[];
  /** Bytes of all blobs and manifests. */
  readonly sizeBytes: number;
  /** Those that the chosen children of indexes state. */
  readonly platforms: readonly Platform[];
}

/** Reads one manifest, verified. @throws RegistryError */
export type ReadManifest = (reference: ManifestReference, signal: AbortSignal) => Promise<VerifiedManifest>;

const MAX_DEPTH = 4;
const MAX_MANIFESTS = 1000;
const PARALLEL_READS = 8;

/** @throws RegistryError, with reason `Invalid` for indexes that nest too deep or hold too many manifests */
export async function planCopy(
  read: ReadManifest,
  reference: ManifestReference,
  selection: Selection,
  signal: AbortSignal,
): Promise<CopyPlan> {
  const known = new Map<Digest, PlannedManifest>();
  const platforms = new Map<string, Platform>();

  const visit = async (fetched: VerifiedManifest, depth: number): Promise<PlannedManifest[]> => {
    if (depth > MAX_DEPTH) throw invalid(`its indexes nest more than ${MAX_DEPTH} deep`);
    if (known.size >= MAX_MANIFESTS) throw invalid(`it has more than ${MAX_MANIFESTS} manifests`);
    const { manifest } = fetched;
    if (manifest.kind === 'image') {
      const planned = { ...fetched, blobs: blobsOf(manifest), sparse: false };
      known.set(fetched.digest, planned);
      return [planned];
    }
    const children = selectChildren(manifest, selection);
    const planned = { ...fetched, blobs: [], sparse: children.length < manifest.manifests.length };
    known.set(fetched.digest, planned);
    for (const { platform } of children) if (platform) platforms.set(formatPlatform(platform), platform);
    const wanted = children.filter(
      (child) => isManifestMediaType(child.mediaType) && !known.has(child.digest),
    );
    const below: PlannedManifest[][] = wanted.map(() => []);
    await forEachLimited(
      [...wanted.entries()],
      PARALLEL_READS,
      signal,
      async ([index, child], childSignal) => {
        below[index] = await visit(await read({ digest: child.digest }, childSignal), depth + 1);
      },
    );
    return [...below.flat(), planned];
  };

  const root = await read(reference, signal);
  const ordered = await visit(root, 1);
  const manifests = [...new Map(ordered.map((manifest) => [manifest.digest, manifest])).values()];
  return summarise(manifests, [...platforms.values()]);
}

function summarise(manifests: readonly PlannedManifest[], platforms: readonly Platform[]): CopyPlan {
  const root = manifests.at(-1);
  if (root === undefined) throw invalid('it has no manifest');
  const blobs = [...new Map(manifests.flatMap((m) => m.blobs).map((blob) => [blob.digest, blob])).values()];
  const sizeBytes =
    blobs.reduce((sum, blob) => sum + blob.size, 0) +
    manifests.reduce((sum, m) => sum + m.bytes.byteLength, 0);
  return { manifests, root, blobs, sizeBytes, platforms };
}

function invalid(what: string): RegistryError {
  return new RegistryError(`the image cannot be copied: ${what}`, { reason: 'Invalid' });
}
