/**
 * The repositories in the store that hold the blobs which images share (docs/adr/0008): for the copier alone,
 * nobody pulls from them.
 */
import { encodeCachedName, type CachedName } from '../registry/core/cached-name.ts';

const SHARED_BLOBS = { host: 'larder.invalid', repository: 'blobs' };

/** @param tenant the namespace whose blobs it holds; undefined: those of public names */
export function sharedBlobsRepository(tenant: string | undefined): string {
  return encodeCachedName(tenant === undefined ? SHARED_BLOBS : { tenant, ...SHARED_BLOBS });
}

export function isSharedBlobs({ host, repository }: CachedName): boolean {
  return host === SHARED_BLOBS.host && repository === SHARED_BLOBS.repository;
}
