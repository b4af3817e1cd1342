/** The content of a fake registry, and the specification's rules about it. */
import { type Digest, digestOf } from '../../registry/core/digest.ts';
import type { ManifestReference } from '../../registry/core/distribution-path.ts';
import { RegistryError } from '../../registry/core/errors.ts';
import { blobsOf, parseManifest } from '../../registry/core/manifest.ts';
import type { TestImage } from './images.ts';

interface FakeManifest {
  readonly bytes: Uint8Array;
  readonly mediaType: string;
}

export class FakeRepository {
  readonly blobs = new Map<Digest, Uint8Array>();
  readonly manifests = new Map<Digest, FakeManifest>();
  readonly tags = new Map<string, Digest>();

  find(reference: ManifestReference): (FakeManifest & { digest: Digest }) | undefined {
    const digest = 'digest' in reference ? reference.digest : this.tags.get(reference.tag);
    const found = digest === undefined ? undefined : this.manifests.get(digest);
    return digest === undefined || found === undefined ? undefined : { ...found, digest };
  }

  /**
   * @throws RegistryError when the digest does not match, or something that the manifest refers to is missing
   */
  put(reference: ManifestReference, manifest: FakeManifest, sparseIndexes: boolean): Digest {
    const digest = digestOf(manifest.bytes);
    if ('digest' in reference && reference.digest !== digest) {
      throw new RegistryError('the digest of the manifest does not match', {
        reason: 'Invalid',
        code: 'DIGEST_INVALID',
      });
    }
    const parsed = parseManifest(manifest.bytes, manifest.mediaType);
    const missing =
      parsed.kind === 'image'
        ? blobsOf(parsed).filter((blob) => !this.blobs.has(blob.digest))
        : parsed.manifests.filter((child) => !sparseIndexes && !this.manifests.has(child.digest));
    if (missing.length > 0) {
      throw new RegistryError('blob unknown to registry', {
        reason: 'Invalid',
        code: 'MANIFEST_BLOB_UNKNOWN',
      });
    }
    this.manifests.set(digest, manifest);
    if ('tag' in reference) this.tags.set(reference.tag, digest);
    return digest;
  }

  delete(reference: ManifestReference): boolean {
    if ('tag' in reference) return this.tags.delete(reference.tag);
    for (const [tag, digest] of this.tags) if (digest === reference.digest) this.tags.delete(tag);
    return this.manifests.delete(reference.digest);
  }

  /** Descriptors of the manifests whose subject is this one. */
  referrers(digest: Digest): object[] {
    return [...this.manifests].flatMap(([referrer, { bytes, mediaType }]) =>
      parseManifest(bytes, mediaType).subject?.digest === digest
        ? [{ mediaType, digest: referrer, size: bytes.byteLength }]
        : [],
    );
  }

  /** Stores a whole image, as a push would. */
  add(image: TestImage, tag?: string): void {
    for (const [digest, bytes] of image.blobs) this.blobs.set(digest, bytes);
    for (const { digest, bytes, manifest } of image.manifests) {
      this.manifests.set(digest, { bytes, mediaType: manifest.mediaType });
    }
    if (tag !== undefined) this.tags.set(tag, image.root.digest);
  }
}
