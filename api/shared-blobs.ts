/** The repositories of the store that hold links to the blobs which images share (docs/adr/0008): the copier's own, nobody pulls from them. */
import { encodeCachedName, type CachedName } from '../registry/core/cached-name.ts';

const SHELF = { host: 'larder.invalid', repository: 'blobs' };

/** @param tenant the namespace whose blobs it holds; undefined: those of public names */
export function shelfOf(tenant: string | undefined): string {
  return encodeCachedName(tenant === undefined ? SHELF : { tenant, ...SHELF });
}

export function isShelf({ host, repository }: CachedName): boolean {
  return host === SHELF.host && repository === SHELF.repository;
}
