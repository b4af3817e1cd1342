/** What the copier needs of a repository at its registry. */
import type { CachedName } from '../../registry/core/cached-name.ts';
import type { Digest } from '../../registry/core/digest.ts';
import type { ManifestReference } from '../../registry/core/distribution-path.ts';
import type { ReferrerJson } from '../../registry/client/listing.ts';
import type { StoredManifest } from '../../registry/client/manifests.ts';
import type { BlobSource } from '../download/download.ts';

/** One repository at its registry, asked with its namespace's credentials. All throw RegistryError. */
export interface UpstreamRepository {
  /** The digest that a tag has now; undefined when the registry does not say without sending the manifest. */
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

export interface UpstreamRepositories {
  /**
   * Finds the credentials; asks no registry yet.
   * @param reference tag or digest that will be asked for, when it is one image
   */
  open(name: CachedName, reference: string | undefined, signal: AbortSignal): Promise<UpstreamRepository>;
}
