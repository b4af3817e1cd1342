/** A pull from the cache: a distribution path whose repository is a cached name. */
import { decodeCachedName, encodeCachedName, type CachedName } from './cached-name.ts';
import { parseDistributionPath, type DistributionPath } from './distribution-path.ts';

type InRepository = Exclude<DistributionPath, { readonly kind: 'base' }>;

/**
 * `cached` is what `name` stands for. `name` is its canonical spelling, even when the client used an old one.
 */
export type PullPath = InRepository & { readonly cached: CachedName };

/**
 * @param rawPath as for `parseDistributionPath`
 * @throws RegistryError, to be sent to the client
 */
export function parsePullPath(rawPath: string): PullPath | { readonly kind: 'base' } {
  const path = parseDistributionPath(rawPath);
  if (path.kind === 'base') return path;
  const cached = decodeCachedName(path.name);
  return { ...path, name: encodeCachedName(cached), cached };
}

/** Whether the request names content by its digest, so that the response can never be stale. */
export function isByDigest(path: PullPath): boolean {
  return path.kind === 'blob' || (path.kind === 'manifest' && 'digest' in path.reference);
}
