/** The parts of the store that pulls need. */
import type { ManifestReference } from '../../registry/core/distribution-path.ts';
import type { VerifiedManifest } from '../../registry/client/manifests.ts';
import type { BlobKey, BlobSink } from '../blob-sink.ts';

/** Methods throw RegistryError when the store cannot be asked; undefined is what it does not have. */
export interface ManifestStore {
  getManifest(
    repository: string,
    reference: ManifestReference,
    signal: AbortSignal,
  ): Promise<VerifiedManifest | undefined>;
  /**
   * @throws RegistryError, also when the store lacks content that the manifest refers to, see `isIncomplete`
   */
  putManifest(
    repository: string,
    reference: ManifestReference,
    manifest: VerifiedManifest,
    signal: AbortSignal,
  ): Promise<void>;
}

export interface BlobStore extends BlobSink {
  hasBlob(key: BlobKey, signal: AbortSignal): Promise<boolean>;
}
