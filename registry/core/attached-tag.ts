/** Tags by which something is attached to a manifest where a registry has no better way: the referrers' tag schema, and cosign's. */
import { digestAlgorithm, digestHex, type Digest } from './digest.ts';

const ATTACHED = /^(sha256-[0-9a-f]{64}|sha512-[0-9a-f]{121})(?:\.[A-Za-z0-9]+)?$/;
const MAX_TAG_LENGTH = 128;

/** Ends of the tags under which cosign keeps signatures, attestations and SBOMs. */
export const COSIGN_SUFFIXES = ['.sig', '.att', '.sbom'] as const;

/** The tag of the index of what refers to a manifest (OCI distribution 1.1, "Referrers Tag Schema"). */
export function referrersTag(digest: Digest): string {
  return `${digestAlgorithm(digest)}-${digestHex(digest)}`.slice(0, MAX_TAG_LENGTH);
}

/** The referrers' tag of the manifest that a tag is attached to; undefined for any other tag. */
export function attachedTo(tag: string): string | undefined {
  return ATTACHED.exec(tag)?.[1];
}
