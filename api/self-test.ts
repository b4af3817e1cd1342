/**
 * The smallest possible image. The copier keeps it in the store, and every proxy pulls it through itself to
 * check that pulls work.
 */
import { digestOf, type Digest } from '../registry/core/digest.ts';

const EMPTY = Buffer.from('{}');
const EMPTY_DESCRIPTOR = {
  mediaType: 'application/vnd.oci.empty.v1+json',
  digest: digestOf(EMPTY, 'sha256'),
  size: EMPTY.length,
};
const MANIFEST = Buffer.from(
  JSON.stringify({
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    config: EMPTY_DESCRIPTOR,
    layers: [EMPTY_DESCRIPTOR],
  }),
);

export interface SelfTestImage {
  /** A cached name that no registry can have: its top-level domain is reserved (RFC 2606). */
  readonly repository: string;
  readonly tag: string;
  readonly manifest: { readonly bytes: Buffer; readonly digest: Digest; readonly mediaType: string };
  /** Both the config and the only layer. */
  readonly blob: { readonly bytes: Buffer; readonly digest: Digest };
}

export const SELF_TEST_IMAGE: SelfTestImage = {
  repository: 'larder.invalid/self-test',
  tag: 'latest',
  manifest: {
    bytes: MANIFEST,
    digest: digestOf(MANIFEST, 'sha256'),
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
  },
  blob: { bytes: EMPTY, digest: EMPTY_DESCRIPTOR.digest },
};
