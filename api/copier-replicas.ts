/**
 * Which replica of the copier serves what (docs/contracts.md, "The copier's API"): any sends a client to the
 * one that owns the repository.
 */

/** Asks a replica to serve a request itself: its owner did not answer. */
export const SERVE_HERE_HEADER = 'larder-serve-here';

/**
 * The owner that a replica sends us to; undefined when it does not. One that would have us leave TLS is not
 * followed: an owner has to show the copier's certificate before it sees our credential.
 * @param location of the response
 * @param asked where the copier was asked
 */
export function ownerFromRedirect(status: number, location: unknown, asked: URL): URL | undefined {
  if (status !== 307 || typeof location !== 'string' || !URL.canParse(location)) return undefined;
  const { origin, protocol } = new URL(location);
  return protocol === asked.protocol ? new URL(origin) : undefined;
}
