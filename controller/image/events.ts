/** Which Events a change of an image's status is worth: pure. */
import type { CachedImageStatus } from '../../api/cached-image.ts';
import { CONDITION_READY, CONDITION_UPSTREAM_AVAILABLE } from '../../api/reasons.ts';
import { type Condition, findCondition } from '../../platform/kube/conditions.ts';
import type { ObjectEvent } from '../cluster/object-events.ts';
import { isStale } from './copy-rules.ts';

/** Only changes are worth an Event, and changes upstream only while pods use the image. */
export function eventsOf(
  before: CachedImageStatus | undefined,
  after: CachedImageStatus,
  inUse: boolean,
): readonly ObjectEvent[] {
  const ready = changed(CONDITION_READY, before, after);
  if (ready?.status === 'True') return [{ type: 'Normal', reason: ready.reason, message: ready.message }];
  const quiet = ready === undefined || RESTING.includes(ready.reason);
  if (!quiet) return [{ type: 'Warning', reason: ready.reason, message: ready.message }];
  const upstream = changed(CONDITION_UPSTREAM_AVAILABLE, before, after);
  if (inUse && upstream?.status === 'False') {
    return [{ type: 'Warning', reason: `Upstream${upstream.reason}`, message: upstream.message }];
  }
  const moved = isStale(after) && after.upstreamDigest !== before?.upstreamDigest;
  if (!inUse || !moved) return [];
  const message = `the tag now names ${after.upstreamDigest ?? ''} upstream`;
  return [{ type: 'Warning', reason: 'UpstreamMoved', message }];
}

/** Reasons for which an image is not Ready although nothing is wrong. */
export const RESTING: readonly string[] = ['Pending', 'Copying', 'Unused', 'Deleting'];

/** The condition, if its reason or message has changed. */
function changed(
  type: string,
  before: CachedImageStatus | undefined,
  after: CachedImageStatus,
): Condition | undefined {
  const [was, is] = [before, after].map((status) => findCondition(status?.conditions, type));
  return was?.reason === is?.reason && was?.message === is?.message ? undefined : is;
}
