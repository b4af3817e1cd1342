/**
 * Tags that attach something to a manifest where a registry has no referrers API: the referrers tag schema,
 * and cosign's.
 */
import { digestAlgorithm, digestHex, type Digest } from './digest.ts';

const ATTACHED = /^(sha256-[0-9a-f]{64}|sha512-[0-9a-f]{121})(?:\.[A-Za-z0-9]+)?$/;
const MAX_TAG_LENGTH = 128;

/** Suffixes of the tags under which cosign keeps signatures, attestations and SBOMs. */
export const COSIGN_SUFFIXES = ['.sig', '.att', '.sbom'] as const;

/** The tag of the index that lists a manifest's referrers (OCI distribution 1.1, "Referrers Tag Schema"). */
export function referrersTag(digest: Digest): string {
  return `${digestAlgorithm(digest)}-${digestHex(digest)}`.slice(0, MAX_TAG_LENGTH);
}

/** For a tag that is attached to a manifest, that manifest's referrers tag; undefined for any other tag. */
export function attachedTo(tag: string): string | undefined {
  return ATTACHED.exec(tag)?.[1];
}
