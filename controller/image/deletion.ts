/** What to do about a CachedImage that is being deleted: pure. */
import type { CachedImage } from '../../api/cached-image.ts';
import { CACHED_IMAGE_FINALIZER } from '../../api/names.ts';
import type { Digest } from '../../registry/core/digest.ts';
import { reference, type Reference } from '../../registry/core/reference.ts';
import { parseTime } from '../../platform/kube/time.ts';
import type { ObjectEvent } from '../cluster/object-events.ts';
import { isUnderWay } from '../jobs/job-state.ts';
import type { ImageToRemove } from '../jobs/orders.ts';
import { stopCopying } from './assess.ts';
import type { Decision, Gathered } from './decision.ts';
import { nextStatus } from './status.ts';
import { BUSY_MS } from './upkeep.ts';

/**
 * Its tag in the store is removed first, unless somebody needs it; then the finalizer. When pods use the
 * image, the finalizer goes at once: the next decision creates the CachedImage again, and its content is
 * still in the store.
 * @param target undefined when the image cannot be parsed; the store then holds nothing for it
 */
export function decideDeletion(
  gathered: Gathered,
  image: CachedImage,
  target: Reference | undefined,
): Decision {
  const stop = stopCopying(gathered.copy);
  if (image.metadata.finalizers?.includes(CACHED_IMAGE_FINALIZER) !== true) return { events: [], ...stop };
  if (target === undefined || isNeeded(gathered) || isRemoved(gathered)) return release(gathered);
  const { remove, isCopyingIntoRepository, usage, lifeRules, now } = gathered;
  const deadline = (parseTime(image.metadata.deletionTimestamp) ?? now) + lifeRules.deleteDeadlineMs;
  if (deadline <= now) return release(gathered, [GIVEN_UP]);
  const status = nextStatus(image, usage, { is: 'deleting' }, now);
  const waiting = (ms: number): Decision => ({
    status,
    events: [],
    ...stop,
    againInMs: Math.min(ms, deadline - now),
  });
  if (isUnderWay(remove)) return waiting(deadline - now);
  if (remove.phase === 'failed' && remove.failure.retryAt > now) return waiting(remove.failure.retryAt - now);
  if (isCopyingIntoRepository) return waiting(BUSY_MS);
  const sizeBytes = image.status?.sizeBytes ?? 0;
  const request = { targets: targetsOf(gathered, image, target), sizeBytes };
  return { ...waiting(deadline - now), tasks: [{ task: 'remove', request }] };
}

function isNeeded({ usage, hasSibling }: Gathered): boolean {
  return usage !== undefined || hasSibling;
}

function isRemoved({ remove }: Gathered): boolean {
  return remove.phase === 'done' && remove.result.previous === undefined;
}

const GIVEN_UP: ObjectEvent = {
  type: 'Warning',
  reason: 'LeftInStore',
  message: 'the image could not be deleted from the store in time; its content stays there',
};

function release({ copy }: Gathered, events: readonly ObjectEvent[] = []): Decision {
  return {
    events,
    finalizer: 'remove',
    settled: ['remove'],
    ...stopCopying(copy),
  };
}

/** The image, and the earlier digests of its tag. */
function targetsOf(
  { pinnedDigests }: Gathered,
  { spec, status }: CachedImage,
  image: Reference,
): ImageToRemove[] {
  const tenant = spec.tenant === undefined ? {} : { tenant: spec.tenant };
  const previous = (status?.previousDigests ?? []).filter(({ digest }) => !pinnedDigests.includes(digest));
  return [
    { reference: image, ...tenant },
    ...previous.map(({ digest }) => ({
      reference: reference(image, undefined, digest as Digest),
      ...tenant,
    })),
  ];
}
