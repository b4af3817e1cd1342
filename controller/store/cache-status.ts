/** The status of the ImageCache, which describes the cache as a whole: pure. */
import { CONDITION_COMPLETE, CONDITION_WITHIN_LIMIT, type ImageCacheStatus } from '../../api/image-cache.ts';
import type { Collection } from '../../api/store-api.ts';
import { type Condition, setCondition } from '../../platform/kube/conditions.ts';
import { formatBytes } from '../../platform/format-bytes.ts';
import type { Capacity } from './capacity.ts';

/** What the status is made from. */
export interface CacheView {
  /** How many images the cache holds completely. */
  readonly images: number;
  readonly imagesInUse: number;
  /** The images in use that it does not hold completely, by their upstream names. */
  readonly lacking: readonly string[];
  readonly capacity: Capacity;
  readonly limitBytes?: number;
  readonly lastCollection?: Collection;
  /** The last request for a collection that was acted on. */
  readonly collectRequest?: string;
}

/** @param now milliseconds since the epoch */
export function cacheStatus(before: ImageCacheStatus, view: CacheView, now: number): ImageCacheStatus {
  const { images, imagesInUse, capacity, limitBytes, lastCollection, collectRequest } = view;
  let conditions: readonly Condition[] = before.conditions ?? [];
  for (const condition of [completeness(view), fullness(view)]) {
    conditions = setCondition(conditions, condition, now);
  }
  return {
    images,
    imagesInUse,
    sizeBytes: capacity.heldBytes,
    size: formatBytes(capacity.heldBytes),
    ...(limitBytes === undefined ? {} : { limitBytes, limit: formatBytes(limitBytes) }),
    ...(collectRequest === undefined ? {} : { collectRequest }),
    ...(lastCollection === undefined ? {} : { lastCollection: collectionStatus(lastCollection) }),
    conditions,
  };
}

type NewCondition = Pick<Condition, 'type' | 'status' | 'reason' | 'message'>;

const MAX_NAMED = 5;

function completeness({ imagesInUse, lacking }: CacheView): NewCondition {
  const type = CONDITION_COMPLETE;
  if (lacking.length === 0) {
    return { type, status: 'True', reason: 'Cached', message: 'every image that pods use is in the cache' };
  }
  const more = lacking.length - MAX_NAMED;
  const named = lacking.slice(0, MAX_NAMED).join(', ') + (more > 0 ? ` and ${more} more` : '');
  const message = `not in the cache: ${lacking.length} of the ${imagesInUse} images that pods use: ${named}`;
  return { type, status: 'False', reason: 'Lacking', message };
}

function fullness({ capacity: { heldBytes, excessBytes }, limitBytes }: CacheView): NewCondition {
  const type = CONDITION_WITHIN_LIMIT;
  if (limitBytes === undefined) {
    return { type, status: 'True', reason: 'NoLimit', message: 'no limit is set' };
  }
  const limit = formatBytes(limitBytes);
  if (excessBytes > 0) {
    const message =
      `the cache holds ${formatBytes(excessBytes)} more than its limit of ${limit}, and nothing of it may go: ` +
      'all is used by pods, retained, or lost upstream';
    return { type, status: 'False', reason: 'NothingMayGo', message };
  }
  return heldBytes > limitBytes
    ? {
        type,
        status: 'True',
        reason: 'Evicting',
        message: `unused images go until the cache takes no more than ${limit}`,
      }
    : { type, status: 'True', reason: 'Fits', message: `the limit is ${limit}` };
}

function collectionStatus({
  freedBytes,
  ...rest
}: Collection): NonNullable<ImageCacheStatus['lastCollection']> {
  return { ...rest, ...(freedBytes === null ? {} : { freedBytes }) };
}
