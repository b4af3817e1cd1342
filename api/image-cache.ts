/** ImageCache, `imagecaches.larder.dev/v1alpha1`: the cache as a whole, as the controller reports it. */
import type { ConditionJson } from './cached-image.ts';
import type { Collection } from './store-api.ts';

/** True: every image that pods use is in the cache, so they can start without any registry. */
export const CONDITION_COMPLETE = 'Complete';
/** False: the cache holds more than its limit, and nothing in it may be evicted. */
export const CONDITION_WITHIN_LIMIT = 'WithinLimit';

/** Not parsed when it is read back, since only the controller writes it. */
export interface ImageCacheStatus {
  /** How many images the cache holds completely. */
  readonly images?: number;
  /** How many images pods use, cached or not. */
  readonly imagesInUse?: number;
  readonly sizeBytes?: number;
  /** `sizeBytes` in readable form, as `limit` is of `limitBytes`. */
  readonly size?: string;
  readonly limitBytes?: number;
  readonly limit?: string;
  /** The last value of the annotation `larder.dev/collect` that was acted on. */
  readonly collectRequest?: string;
  readonly lastCollection?: Omit<Collection, 'freedBytes'> & { readonly freedBytes?: number };
  readonly conditions?: readonly ConditionJson[];
}
