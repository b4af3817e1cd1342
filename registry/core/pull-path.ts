/** A pull from the cache: a distribution path whose repository is a cached name. */
import { type CachedName, decodePulledName, encodeCachedName } from './cached-name.ts';
import { parseDistributionPath, type DistributionPath } from './distribution-path.ts';

type InRepository = Exclude<DistributionPath, { readonly kind: 'base' }>;

/**
 * `cached` is what `name` stands for. `name` is its canonical spelling, even when the client used an old one.
 * `capability` is what the client's name carried; it stands in no other name.
 */
export type PullPath = InRepository & { readonly cached: CachedName; readonly capability?: string };

/**
 * @param rawPath as for `parseDistributionPath`
 * @throws RegistryError, to be sent to the client
 */
export function parsePullPath(rawPath: string): PullPath | { readonly kind: 'base' } {
  const path = parseDistributionPath(rawPath);
  if (path.kind === 'base') return path;
  const pulled = decodePulledName(path.name);
  return { ...path, name: encodeCachedName(pulled.cached), ...pulled };
}

/** Whether the request names content by its digest, so that the response can never be stale. */
export function isByDigest(path: PullPath): boolean {
  return path.kind === 'blob' || (path.kind === 'manifest' && 'digest' in path.reference);
}
