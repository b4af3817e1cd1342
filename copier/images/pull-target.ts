/**
 * What a pull or an order is about: a repository of the store, and the upstream repository that it caches.
 */
import type { CachedName } from '../../registry/core/cached-name.ts';

export interface PullTarget {
  /** The name in the store: `cached`, encoded. */
  readonly storeRepository: string;
  /** Its `repository` is the name at upstream. */
  readonly cached: CachedName;
}
