/** What is to be asked and cleared away for an image that the cache holds, and when: pure. */
import type { CachedImage, CachedImageStatus } from '../../api/cached-image.ts';
import { cachedImageName } from '../../api/names.ts';
import type { Digest } from '../../registry/core/digest.ts';
import { reference } from '../../registry/core/reference.ts';
import type { CopyRequest } from '../jobs/copy-state.ts';
import type { Errand, Gathered } from './decision.ts';
import type { ErrandState } from '../jobs/tasks.ts';
import { checkDueAt, outdatedDigests, parseTime, verifyDueAt } from './life-rules.ts';
import type { RemovalTarget } from '../jobs/removals.ts';

export interface Upkeep {
  readonly errands: readonly Errand[];
  /** When to look again, in milliseconds since the epoch. */
  readonly againAt: readonly number[];
}

/** An errand and its moment, or only a moment at which to look again; `at` is undefined while it is under way. */
interface Due {
  readonly at: number | undefined;
  readonly errand?: Errand;
}

export function upkeep(
  gathered: Gathered,
  { metadata: { name } }: CachedImage,
  status: CachedImageStatus,
  request: CopyRequest,
): Upkeep {
  if (status.digest === undefined) return { errands: [], againAt: [] };
  const { check, verify, rules, now } = gathered;
  const all: Due[] = [
    { at: turn(check, checkDueAt(name, status, rules)), errand: { errand: 'check', request } },
    { at: turn(verify, verifyDue(gathered, name)), errand: { errand: 'verify', request } },
    removalOfPrevious(gathered, status, request),
  ];
  return {
    errands: all.flatMap(({ at = Infinity, errand }) => (errand !== undefined && at <= now ? [errand] : [])),
    againAt: all.flatMap(({ at = -Infinity }) => (at > now ? [at] : [])),
  };
}

function verifyDue({ verify, rules, termBegan, suspectedAt }: Gathered, name: string): number {
  const last = verify.phase === 'idle' ? verify.lastAt : undefined;
  const known = {
    since: termBegan,
    ...(last === undefined ? {} : { last }),
    ...(suspectedAt === undefined ? {} : { suspectedAt }),
  };
  return verifyDueAt(name, known, rules);
}

/** An answer that was taken in just now is as good as one under way. */
function turn(state: ErrandState<unknown>, dueAt: number): number | undefined {
  if (state.phase === 'waiting' || state.phase === 'done') return undefined;
  return state.phase === 'failed' ? Math.max(dueAt, state.retryAt) : dueAt;
}

function removalOfPrevious(
  { rules, usage, removal, copiesInRepository, now }: Gathered,
  status: CachedImageStatus,
  { reference: image, tenant }: CopyRequest,
): Due {
  const [previous] = outdatedDigests(status, usage, rules, now);
  if (previous === undefined) {
    const graces = (status.previousDigests ?? []).map(
      ({ replacedTime }) => (parseTime(replacedTime) ?? now) + rules.keepPreviousMs,
    );
    return { at: graces.find((at) => at > now) };
  }
  const target: RemovalTarget = {
    reference: reference(image, undefined, previous as Digest),
    ...(tenant === undefined ? {} : { tenant }),
    ranBy: cachedImageName(image, tenant),
  };
  const at = turn(removal, copiesInRepository ? now + BUSY_MS : now);
  return {
    at,
    errand: { errand: 'remove', request: { targets: [target], previous, sizeBytes: status.sizeBytes ?? 0 } },
  };
}

/** Nothing is removed from a repository that something is copied into; that often it is looked at again. */
export const BUSY_MS = 1_000;
