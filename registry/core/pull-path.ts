/** A request of the pull API for something in the cache: the distribution path with its repository understood as a cached name. */
import { type CachedName, decodePulledName, encodeCachedName } from './cached-name.ts';
import { parseDistributionPath, type DistributionPath } from './distribution-path.ts';

type InRepository = Exclude<DistributionPath, { readonly kind: 'base' }>;

/**
 * `cached` is what `name` stands for; `name` is its one spelling, also when the client used an old one. `capability` is what the client's
 * name carried beside it; nobody behind the proxy gets to see it.
 */
export type PullPath = InRepository & { readonly cached: CachedName; readonly capability?: string };

/**
 * @param rawPath as for `parseDistributionPath`
 * @throws RegistryError to be answered as it is
 */
export function parsePullPath(rawPath: string): PullPath | { readonly kind: 'base' } {
  const path = parseDistributionPath(rawPath);
  if (path.kind === 'base') return path;
  const pulled = decodePulledName(path.name);
  return { ...path, name: encodeCachedName(pulled.cached), ...pulled };
}

/** Whether the request names content by its digest, so that the answer can never go stale. */
export function isByDigest(path: PullPath): boolean {
  return path.kind === 'blob' || (path.kind === 'manifest' && 'digest' in path.reference);
}
