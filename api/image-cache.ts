/** ImageCache, `imagecaches.larder.dev/v1alpha1`: the cache as a whole, told by the controller. */
import type { Condition } from './cached-image.ts';
import type { Collection } from './store-api.ts';

/** True: every image that pods use is in the cache, so that no registry is needed to start them. */
export const CONDITION_COMPLETE = 'Complete';
/** False: the cache holds more than its limit, and nothing of it may go. */
export const CONDITION_WITHIN_LIMIT = 'WithinLimit';

/** Only the controller writes it, so that what is read back is what was written. */
export interface ImageCacheStatus {
  /** Held whole. */
  readonly images?: number;
  /** Used by pods, cached or not. */
  readonly imagesInUse?: number;
  readonly sizeBytes?: number;
  /** For human eyes, as `limit`. */
  readonly size?: string;
  readonly limitBytes?: number;
  readonly limit?: string;
  /** The last value of the annotation that was taken up. */
  readonly collectRequest?: string;
  readonly lastCollection?: Omit<Collection, 'freedBytes'> & { readonly freedBytes?: number };
  readonly conditions?: readonly Condition[];
}
