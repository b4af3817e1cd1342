/** The media types of manifests and layers, OCI's and Docker's, by the role they play. */

export const OCI_MANIFEST = 'application/vnd.oci.image.manifest.v1+json';
export const OCI_INDEX = 'application/vnd.oci.image.index.v1+json';
export const DOCKER_MANIFEST = 'application/vnd.docker.distribution.manifest.v2+json';
export const DOCKER_LIST = 'application/vnd.docker.distribution.manifest.list.v2+json';
const DOCKER_SCHEMA_1 = 'application/vnd.docker.distribution.manifest.v1';

export const MANIFEST_MEDIA_TYPES: readonly string[] = [
  OCI_INDEX,
  OCI_MANIFEST,
  DOCKER_LIST,
  DOCKER_MANIFEST,
];

/** Always all of them: a registry converts an index for a client that does not seem to understand indexes. */
export const MANIFEST_ACCEPT = MANIFEST_MEDIA_TYPES.join(', ');

export function isIndexMediaType(mediaType: string): boolean {
  return mediaType === OCI_INDEX || mediaType === DOCKER_LIST;
}

export function isManifestMediaType(mediaType: string): boolean {
  return MANIFEST_MEDIA_TYPES.includes(mediaType);
}

export function isSchema1MediaType(mediaType: string): boolean {
  return mediaType.startsWith(DOCKER_SCHEMA_1);
}

/** Whether it is the config of an image that can run, not of another artifact. */
export function isImageConfigMediaType(mediaType: string): boolean {
  return (
    mediaType === 'application/vnd.oci.image.config.v1+json' ||
    mediaType === 'application/vnd.docker.container.image.v1+json'
  );
}

/**
 * Layers that registries need not hold (image-spec 1.0, "Non-Distributable Layers"; Docker's foreign layers).
 * The zstd type is missing on purpose: distribution refuses a manifest whose zstd layers it lacks.
 */
const NON_DISTRIBUTABLE: readonly string[] = [
  'application/vnd.oci.image.layer.nondistributable.v1.tar',
  'application/vnd.oci.image.layer.nondistributable.v1.tar+gzip',
  'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip',
];

export function isNonDistributableMediaType(mediaType: string): boolean {
  return NON_DISTRIBUTABLE.includes(mediaType);
}

/** The bare type of a Content-Type header, in lower case; empty when there is none. */
export function mediaTypeOf(contentType: string | undefined): string {
  return (contentType ?? '').split(';', 1).join('').trim().toLowerCase();
}
