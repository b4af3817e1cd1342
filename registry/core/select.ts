/**
 * Which children of an index are copied: those that the cluster's nodes may run, and their attestations on
 * request.
 */
import { RegistryError } from './errors.ts';
import type { Descriptor, ImageIndex } from './manifest.ts';
import { formatPlatform, type Platform, platformMatches } from './platform.ts';

const ATTESTATION_TYPE = 'vnd.docker.reference.type';
const ATTESTED_DIGEST = 'vnd.docker.reference.digest';

export interface Selection {
  /** Empty: all platforms of the index. */
  readonly platforms: readonly Platform[];
  /**
   * Also the attestation manifests (BuildKit's provenance and SBOM) of the chosen children. Default false.
   */
  readonly attestations?: boolean;
}

/**
 * Children without a platform are always chosen: only a runtime that looks into them can tell.
 * @throws RegistryError with reason `NotFound` when the index has nothing for any of the platforms
 */
export function selectChildren(index: ImageIndex, selection: Selection): Descriptor[] {
  const chosen = index.manifests.filter(
    (child) => !isAttestation(child) && isWanted(child, selection.platforms),
  );
  if (chosen.length === 0 && selection.platforms.length > 0 && index.manifests.length > 0) {
    throw new RegistryError(
      `the image has no manifest for ${selection.platforms.map(formatPlatform).join(', ')}`,
      {
        reason: 'NotFound',
      },
    );
  }
  if (selection.attestations !== true) return chosen;
  const digests = new Set<string>(chosen.map((child) => child.digest));
  const attesting = index.manifests.filter(
    (child) => isAttestation(child) && digests.has(child.annotations[ATTESTED_DIGEST] ?? ''),
  );
  return [...chosen, ...attesting];
}

function isWanted(child: Descriptor, platforms: readonly Platform[]): boolean {
  const offered = child.platform;
  if (offered === undefined || platforms.length === 0) return true;
  return platforms.some((wanted) => platformMatches(wanted, offered));
}

function isAttestation(child: Descriptor): boolean {
  return (
    child.annotations[ATTESTATION_TYPE] === 'attestation-manifest' ||
    (child.platform?.os === 'unknown' && child.platform.architecture === 'unknown')
  );
}
