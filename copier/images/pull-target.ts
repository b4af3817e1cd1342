/**
 * What a pull or an order is about: a repository of the store, and the upstream repository that it caches.
 */
import type { CachedName } from '../../registry/core/cached-name.ts';

export interface PullTarget {
  /** The repository's name in the store, which writes `cached`. */
  readonly storeRepository: string;
  /** Whose `repository` is the name at upstream. */
  readonly cached: CachedName;
}
