/** Checks that a registry has a whole image: every manifest and blob that the chosen platforms need. */
import type { Digest } from '../core/digest.ts';
import type { ManifestReference } from '../core/distribution-path.ts';
import { RegistryError } from '../core/errors.ts';
import type { Platform } from '../core/platform.ts';
import type { Selection } from '../core/select.ts';
import { headBlob } from '../client/blobs.ts';
import { getManifest } from '../client/manifests.ts';
import type { RepositoryClient } from '../client/repository-client.ts';
import { forEachLimited } from './limit.ts';
import { type CopyPlan, planCopy } from './plan.ts';

export type Verification =
  | {
      readonly complete: true;
      readonly digest: Digest;
      readonly sizeBytes: number;
      /** Those that the chosen children of its indexes state. */
      readonly platforms: readonly Platform[];
    }
  /**
   * Empty when the root is missing by its tag; of a missing manifest's children and blobs nothing is known.
   */
  | { readonly complete: false; readonly missing: readonly Digest[] };

const PARALLEL_HEADS = 8;

/** @throws RegistryError when the registry cannot be asked, or the image has nothing for the platforms */
export async function verifyImage(
  client: RepositoryClient,
  reference: ManifestReference,
  selection: Selection,
  signal: AbortSignal,
): Promise<Verification> {
  const absent: ManifestReference[] = [];
  const read = async (wanted: ManifestReference, readSignal: AbortSignal) => {
    try {
      return await getManifest(client, wanted, { signal: readSignal });
    } catch (error) {
      if (error instanceof RegistryError && error.reason === 'NotFound') absent.push(wanted);
      throw error;
    }
  };
  let plan: CopyPlan;
  try {
    plan = await planCopy(read, reference, selection, signal);
  } catch (error) {
    if (absent.length === 0) throw error;
    return {
      complete: false,
      missing: absent.flatMap((wanted) => ('digest' in wanted ? [wanted.digest] : [])),
    };
  }
  const missing: Digest[] = [];
  await forEachLimited(plan.blobs, PARALLEL_HEADS, signal, async ({ digest, size }, headSignal) => {
    const head = await headBlob(client, digest, headSignal);
    if (head === undefined || (head.size ?? size) !== size) missing.push(digest);
  });
  if (missing.length > 0) return { complete: false, missing };
  const { root, sizeBytes, platforms } = plan;
  return { complete: true, digest: root.digest, sizeBytes, platforms };
}
