/** What the copier needs of the cache: manifests and blobs by repository. */
import type { ManifestReference } from '../../registry/core/distribution-path.ts';
import type { StoredManifest } from '../../registry/client/manifests.ts';
import type { BlobKey, BlobSink } from '../download/downloads.ts';

/** The cache. All throw RegistryError when it cannot be asked, and answer undefined for what is not there. */
export interface ManifestStore {
  getManifest(
    repository: string,
    reference: ManifestReference,
    signal: AbortSignal,
  ): Promise<StoredManifest | undefined>;
  /** @throws RegistryError, see `isIncomplete` for one that content is missing of */
  putManifest(
    repository: string,
    reference: ManifestReference,
    manifest: StoredManifest,
    signal: AbortSignal,
  ): Promise<void>;
}

export interface BlobStore extends BlobSink {
  hasBlob(key: BlobKey, signal: AbortSignal): Promise<boolean>;
}
