/**
 * When an image that the cache holds is checked upstream, verified in the store, and rid of its earlier
 * digests: pure.
 */
import type { CachedImage, CachedImageStatus } from '../../api/cached-image.ts';
import { cachedImageName } from '../../api/names.ts';
import type { Digest } from '../../registry/core/digest.ts';
import { reference } from '../../registry/core/reference.ts';
import { parseTime } from '../../platform/kube/time.ts';
import type { JobState } from '../jobs/job-state.ts';
import type { CopyRequest, ImageToRemove } from '../jobs/orders.ts';
import type { Gathered, Task } from './decision.ts';
import { checkDueAt, outdatedDigests, verifyDueAt } from './life-rules.ts';

export interface Upkeep {
  readonly tasks: readonly Task[];
  /** Moments at which to look again, in milliseconds since the epoch. */
  readonly againAt: readonly number[];
}

/** A task and when it is due, or only when to look again. `at` is undefined while the task is under way. */
interface Due {
  readonly at: number | undefined;
  readonly task?: Task;
}

export function upkeep(
  gathered: Gathered,
  { metadata: { name } }: CachedImage,
  status: CachedImageStatus,
  request: CopyRequest,
): Upkeep {
  if (status.digest === undefined) return { tasks: [], againAt: [] };
  const { check, verify, lifeRules, now } = gathered;
  const all: Due[] = [
    { at: dueOrUnderWay(check, checkDueAt(name, status, lifeRules)), task: { task: 'check', request } },
    { at: dueOrUnderWay(verify, verifyDue(gathered, name)), task: { task: 'verify', request } },
    removalOfPrevious(gathered, status, request),
  ];
  return {
    tasks: all.flatMap(({ at = Infinity, task }) => (task !== undefined && at <= now ? [task] : [])),
    againAt: all.flatMap(({ at = -Infinity }) => (at > now ? [at] : [])),
  };
}

function verifyDue({ verify, lifeRules, leadingSince, suspectedAt }: Gathered, name: string): number {
  const last = verify.phase === 'idle' ? verify.lastAt : undefined;
  const known = {
    since: leadingSince,
    ...(last === undefined ? {} : { last }),
    ...(suspectedAt === undefined ? {} : { suspectedAt }),
  };
  return verifyDueAt(name, known, lifeRules);
}

/**
 * When a task is due; undefined while it is under way. One that is done, and whose result is being taken in
 * right now, counts as under way.
 */
function dueOrUnderWay(state: JobState<unknown, unknown>, dueAt: number): number | undefined {
  if (state.phase === 'failed') return Math.max(dueAt, state.failure.retryAt);
  return state.phase === 'idle' ? dueAt : undefined;
}

function removalOfPrevious(
  { lifeRules, usage, remove, isCopyingIntoRepository, now }: Gathered,
  status: CachedImageStatus,
  { reference: image, tenant }: CopyRequest,
): Due {
  const [previous] = outdatedDigests(status, usage, lifeRules, now);
  if (previous === undefined) {
    const graces = (status.previousDigests ?? []).map(
      ({ replacedTime }) => (parseTime(replacedTime) ?? now) + lifeRules.keepPreviousMs,
    );
    return { at: graces.find((at) => at > now) };
  }
  const target: ImageToRemove = {
    reference: reference(image, undefined, previous as Digest),
    ...(tenant === undefined ? {} : { tenant }),
    ranBy: cachedImageName(image, tenant),
  };
  const at = dueOrUnderWay(remove, isCopyingIntoRepository ? now + BUSY_MS : now);
  return {
    at,
    task: { task: 'remove', request: { targets: [target], previous, sizeBytes: status.sizeBytes ?? 0 } },
  };
}

/**
 * How soon to look again at a repository that is being copied into: nothing is removed from it until then.
 */
export const BUSY_MS = 1_000;
