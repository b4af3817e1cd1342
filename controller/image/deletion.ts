/** What to do about a CachedImage that is being deleted: pure. */
import type { CachedImage } from '../../api/cached-image.ts';
import { CACHED_IMAGE_FINALIZER } from '../../api/names.ts';
import type { Digest } from '../../registry/core/digest.ts';
import { reference, type Reference } from '../../registry/core/reference.ts';
import { stopCopying } from './assess.ts';
import type { Decision, Gathered } from './decision.ts';
import type { ObjectEvent } from '../cluster/object-events.ts';
import { parseTime } from './life-rules.ts';
import type { RemovalTarget } from '../jobs/removals.ts';
import { nextStatus } from './status.ts';
import { BUSY_MS } from './upkeep.ts';

/**
 * Its tag in the store goes first, unless somebody needs it; then the finalizer. An image that pods use is let go at once: the next
 * look finds that there is none, makes it anew, and finds its content where it was.
 * @param target undefined when the image cannot be parsed, so that the store can hold nothing for it
 */
export function decideDeletion(
  gathered: Gathered,
  image: CachedImage,
  target: Reference | undefined,
): Decision {
  const stop = stopCopying(gathered.copy);
  if (image.metadata.finalizers?.includes(CACHED_IMAGE_FINALIZER) !== true) return { events: [], ...stop };
  if (target === undefined || isNeeded(gathered) || isRemoved(gathered)) return release(gathered);
  const { removal, copiesInRepository, usage, rules, now } = gathered;
  const deadline = (parseTime(image.metadata.deletionTimestamp) ?? now) + rules.deleteDeadlineMs;
  if (deadline <= now) return release(gathered, [GIVEN_UP]);
  const status = nextStatus(image, usage, { is: 'deleting' }, now);
  const waiting = (ms: number): Decision => ({
    status,
    events: [],
    ...stop,
    againInMs: Math.min(ms, deadline - now),
  });
  if (removal.phase === 'waiting') return waiting(deadline - now);
  if (removal.phase === 'failed' && removal.retryAt > now) return waiting(removal.retryAt - now);
  if (copiesInRepository) return waiting(BUSY_MS);
  const sizeBytes = image.status?.sizeBytes ?? 0;
  const request = { targets: targetsOf(gathered, image, target), sizeBytes };
  return { ...waiting(deadline - now), errands: [{ errand: 'remove', request }] };
}

function isNeeded({ usage, hasSibling }: Gathered): boolean {
  return usage !== undefined || hasSibling;
}

function isRemoved({ removal }: Gathered): boolean {
  return removal.phase === 'done' && removal.answer.previous === undefined;
}

const GIVEN_UP: ObjectEvent = {
  type: 'Warning',
  reason: 'LeftInStore',
  message: 'the store could not be made to delete the image in time; what it holds for it stays there',
};

function release({ copy }: Gathered, events: readonly ObjectEvent[] = []): Decision {
  return {
    events,
    finalizer: 'remove',
    settled: ['remove'],
    ...stopCopying(copy),
  };
}

/** The image, and what its tag named before. */
function targetsOf(
  { pinnedDigests }: Gathered,
  { spec, status }: CachedImage,
  image: Reference,
): RemovalTarget[] {
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
