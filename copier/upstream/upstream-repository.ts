/** What the copier needs of a repository at its registry. */
import type { Digest } from '../../registry/core/digest.ts';
import type { ManifestReference } from '../../registry/core/distribution-path.ts';
import type { ReferrerJson } from '../../registry/client/listing.ts';
import type { StoredManifest } from '../../registry/client/manifests.ts';
import type { BlobSource } from '../download/download.ts';

/** One repository at its registry, with whatever credentials it takes. All throw RegistryError. */
export interface UpstreamRepository {
  /** The digest that a tag has now; undefined when the registry does not tell without sending the manifest. */
  headManifest(reference: ManifestReference, signal: AbortSignal): Promise<Digest | undefined>;
  /** Verified against the digest asked for, or else the one that the registry claims. */
  getManifest(reference: ManifestReference, signal: AbortSignal): Promise<StoredManifest>;
  /** Undefined when the repository does not have it. */
  headBlob(digest: Digest, signal: AbortSignal): Promise<{ readonly size: number | undefined } | undefined>;
  blob(digest: Digest): BlobSource;
  tags(signal: AbortSignal): Promise<readonly string[]>;
  /** Empty when nothing refers to it. */
  referrers(digest: Digest, signal: AbortSignal): Promise<readonly ReferrerJson[]>;
}
