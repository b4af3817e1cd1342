/** What the copier needs of the two sides it stands between: upstream repositories and those of the store. */
import type { Digest } from '../registry/core/digest.ts';
import type { ManifestReference } from '../registry/core/distribution-path.ts';
import type { BlobSource } from './blob-flight.ts';
import type { BlobKey, BlobSink } from './blob-flights.ts';

/** A manifest as it was given, byte for byte. */
export interface RawManifest {
  readonly bytes: Uint8Array;
  readonly mediaType: string;
  readonly digest: Digest;
}

/** One repository at its registry, with whatever credentials it takes. All throw RegistryError. */
export interface UpstreamRepository {
  /** The digest that a tag has now; undefined when the registry does not tell without sending the manifest. */
  headManifest(reference: ManifestReference, signal: AbortSignal): Promise<Digest | undefined>;
  /** Verified against the digest asked for, or else the one that the registry claims. */
  getManifest(reference: ManifestReference, signal: AbortSignal): Promise<RawManifest>;
  blob(digest: Digest): BlobSource;
}

/** The cache. All throw RegistryError when it cannot be asked, and answer undefined for what is not there. */
export interface ManifestStore {
  getManifest(
    repository: string,
    reference: ManifestReference,
    signal: AbortSignal,
  ): Promise<RawManifest | undefined>;
  /** @throws RegistryError with the code `MANIFEST_BLOB_UNKNOWN` when content that it refers to is not there */
  putManifest(
    repository: string,
    reference: ManifestReference,
    manifest: RawManifest,
    signal: AbortSignal,
  ): Promise<void>;
}

export interface BlobStore extends BlobSink {
  hasBlob(key: BlobKey, signal: AbortSignal): Promise<boolean>;
}
