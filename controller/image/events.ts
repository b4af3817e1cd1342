/** What users are told about an image when its status changes: pure. */
import type { CachedImageStatus } from '../../api/cached-image.ts';
import { CONDITION_READY, CONDITION_UPSTREAM_AVAILABLE } from '../../api/reasons.ts';
import { type Condition, findCondition } from '../../platform/kube/conditions.ts';
import { isStale } from './assess.ts';
import type { ObjectEvent } from '../cluster/object-events.ts';

/** Only what changed is told, and what an outage of the upstream means for an image only while pods depend on it. */
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
  const message = `the tag names ${after.upstreamDigest ?? ''} upstream by now`;
  return [{ type: 'Warning', reason: 'UpstreamMoved', message }];
}

/** Not Ready, and nothing is wrong. */
export const RESTING: readonly string[] = ['Pending', 'Copying', 'Unused', 'Deleting'];

/** The condition, when it says something else than before. */
function changed(
  type: string,
  before: CachedImageStatus | undefined,
  after: CachedImageStatus,
): Condition | undefined {
  const [was, is] = [before, after].map((status) => findCondition(status?.conditions, type));
  return was?.reason === is?.reason && was?.message === is?.message ? undefined : is;
}
