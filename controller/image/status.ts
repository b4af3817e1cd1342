/** Makes the status of a CachedImage, as `kubectl get cachedimages` shows it: pure. */
import { type CachedImage, type CachedImageStatus, MAX_STATUS_NAMESPACES } from '../../api/cached-image.ts';
import {
  CONDITION_READY,
  CONDITION_UPSTREAM_AVAILABLE,
  type ReadyReason,
  type UpstreamReason,
} from '../../api/reasons.ts';
import { parsePlatform, platformMatches } from '../../registry/core/platform.ts';
import { type Condition, setCondition } from '../../platform/kube/conditions.ts';
import type { CopyState, JobFailure } from '../jobs/job-state.ts';
import type { CopyRequest, CopyResult } from '../jobs/orders.ts';
import { AVAILABLE, servingDigest } from './findings.ts';
import { formatBytes } from '../../platform/format-bytes.ts';
import { timestamp } from '../../platform/kube/time.ts';
import type { ImageUsage } from '../cluster/usage.ts';

/** Where an image stands with its content. */
export type Situation =
  | { readonly is: 'invalid'; readonly message: string }
  | { readonly is: 'noPlatforms' | 'pending' | 'unused' | 'complete' | 'deleting' }
  | { readonly is: 'excluded'; readonly policy?: string }
  | { readonly is: 'copying'; readonly copy: Extract<CopyState, { phase: 'queued' | 'running' }> }
  /** `stale`: the image is complete, but a newer or wider copy of it failed. */
  | { readonly is: 'failed' | 'stale'; readonly failure: JobFailure }
  | {
      readonly is: 'copied';
      readonly request: CopyRequest;
      readonly result: CopyResult;
      readonly at: number;
    };

/** Failures that lie with the upstream; the others are our own. */
const UPSTREAM_FAILURES: readonly string[] = [
  'NotFound',
  'Unauthorized',
  'Forbidden',
  'RateLimited',
  'Unreachable',
  'TimedOut',
  'UpstreamError',
  'DigestMismatch',
] satisfies UpstreamReason[];

/** @param now milliseconds since the epoch */
export function nextStatus(
  image: CachedImage,
  usage: ImageUsage | undefined,
  situation: Situation,
  now: number,
): CachedImageStatus {
  const { progress, ...before } = image.status ?? {};
  const status: CachedImageStatus = {
    ...(situation.is === 'copied' ? contentOf(before, situation) : before),
    ...usedNow(before, usage, now),
    ...('failure' in situation && isUpstreams(situation.failure)
      ? { lastCheckedTime: timestamp(situation.failure.at) }
      : {}),
    ...progressOf(situation, progress),
    observedGeneration: image.metadata.generation,
  };
  let conditions: readonly Condition[] = before.conditions ?? [];
  for (const condition of conditionsFor(status, situation)) {
    const observedGeneration = image.metadata.generation;
    conditions = setCondition(conditions, { ...condition, observedGeneration }, now);
  }
  return { ...status, conditions: [...conditions] };
}

type NewCondition = Pick<Condition, 'type' | 'status' | 'reason' | 'message'>;

function conditionsFor(status: CachedImageStatus, situation: Situation): NewCondition[] {
  const existing = status.conditions?.find(({ type }) => type === CONDITION_UPSTREAM_AVAILABLE);
  return [
    { type: CONDITION_READY, ...readyFor(status, situation) },
    upstreamFor(situation) ??
      existing ?? {
        type: CONDITION_UPSTREAM_AVAILABLE,
        status: 'Unknown',
        reason: 'Unknown' satisfies UpstreamReason,
        message: 'the upstream has not been asked yet',
      },
  ];
}

type Ready = Pick<Condition, 'status' | 'message'> & { readonly reason: ReadyReason };

function readyFor(status: CachedImageStatus, situation: Situation): Ready {
  switch (situation.is) {
    case 'complete':
    case 'stale':
    case 'copied':
      return { status: 'True', reason: 'Cached', message: describeContent(status) };
    case 'copying':
      return copyingFor(situation.copy);
    case 'failed':
      return failureFor(situation.failure);
    case 'pending':
      return pendingFor(status);
    case 'deleting':
    case 'noPlatforms':
    case 'unused':
      return { status: 'False', ...AT_REST[situation.is] };
    case 'excluded':
      return {
        status: 'False',
        reason: 'Excluded',
        message: `the CachePolicy ${situation.policy ?? ''} says that it is not to be cached`,
      };
    case 'invalid':
      return { status: 'False', reason: 'Invalid', message: situation.message };
  }
}

const AT_REST = {
  deleting: { reason: 'Deleting', message: 'it is being deleted from the store' },
  noPlatforms: { reason: 'Pending', message: 'no node has reported its platform yet' },
  unused: { reason: 'Unused', message: 'the cache does not hold all of it, and no pod uses it' },
} as const;

function pendingFor({ digest, requestedPlatforms }: CachedImageStatus): Ready {
  const isLost = digest !== undefined && requestedPlatforms === undefined;
  return isLost
    ? {
        status: 'False',
        reason: 'Incomplete',
        message: 'the store has lost a part of it, which will be copied again',
      }
    : { status: 'False', reason: 'Pending', message: 'the copy waits for its turn' };
}

/** A retry shows why the attempt before it failed, until it has copied something. */
function copyingFor(copy: Extract<CopyState, { phase: 'queued' | 'running' }>): Ready {
  const started = copy.phase === 'running' && (copy.progress?.completedBytes ?? 0) > 0;
  if (copy.failure !== undefined && !started) return failureFor(copy.failure);
  return copy.phase === 'queued'
    ? { status: 'False', reason: 'Pending', message: 'the copy waits for its turn' }
    : { status: 'False', reason: 'Copying', message: 'the copy is under way' };
}

function failureFor({ reason, message }: JobFailure): Ready {
  return { status: 'False', reason, message };
}

function upstreamFor(situation: Situation): NewCondition | undefined {
  const type = CONDITION_UPSTREAM_AVAILABLE;
  if (situation.is === 'copied') {
    return { type, ...AVAILABLE };
  }
  if ('failure' in situation && isUpstreams(situation.failure)) {
    const { reason, message } = situation.failure;
    return { type, status: 'False', reason, message };
  }
  return undefined;
}

function isUpstreams({ reason }: JobFailure): boolean {
  return UPSTREAM_FAILURES.includes(reason);
}

function describeContent(status: CachedImageStatus): string {
  const { platforms = [], requestedPlatforms = [], digest, upstreamDigest, referrersFailure } = status;
  const lacking = requestedPlatforms.filter((wanted) => !platforms.some((held) => covers(held, wanted)));
  const held = platforms.length === 0 ? 'the image is complete' : `complete for ${platforms.join(', ')}`;
  const isMoved = upstreamDigest !== undefined && upstreamDigest !== digest;
  const remarks =
    (isMoved ? `; ${MOVED}` : '') +
    (referrersFailure === undefined ? '' : `; what refers to it was not copied: ${referrersFailure}`);
  return lacking.length === 0 || platforms.length === 0
    ? `${held}${remarks}`
    : `${held}; the image has nothing for ${lacking.join(', ')}${remarks}`;
}

const MOVED = 'upstream has moved the tag to a digest that is yet to be copied';

function covers(held: string, wanted: string): boolean {
  return platformMatches(parsePlatform(wanted), parsePlatform(held));
}

function contentOf(
  before: CachedImageStatus,
  { request, result, at }: Extract<Situation, { is: 'copied' }>,
): CachedImageStatus {
  return {
    ...servingDigest(before, result.digest, at),
    upstreamDigest: result.digest,
    sizeBytes: result.sizeBytes,
    size: formatBytes(result.sizeBytes),
    platforms: [...result.platforms],
    requestedPlatforms: [...request.platforms],
    referrers: request.referrers === true ? (result.referrers ?? 0) : undefined,
    referrersFailure: result.referrersFailure,
    lastCheckedTime: timestamp(at),
  };
}

/** The progress stays in the status while a retry waits, and goes when no copy is queued or running. */
function progressOf(
  situation: Situation,
  before: CachedImageStatus['progress'],
): Pick<CachedImageStatus, 'progress'> {
  if (situation.is !== 'copying') return {};
  const progress = situation.copy.phase === 'running' ? (situation.copy.progress ?? before) : before;
  return progress === undefined ? {} : { progress };
}

function usedNow(
  before: CachedImageStatus,
  usage: ImageUsage | undefined,
  now: number,
): Pick<CachedImageStatus, 'usedBy' | 'lastUsedTime'> {
  if (usage === undefined) {
    const justLeft = (before.usedBy?.pods ?? 0) > 0;
    return { usedBy: { pods: 0 }, ...(justLeft ? { lastUsedTime: timestamp(now) } : {}) };
  }
  return {
    usedBy: { pods: usage.pods, namespaces: usage.namespaces.slice(0, MAX_STATUS_NAMESPACES) },
    lastUsedTime: before.lastUsedTime ?? timestamp(now),
  };
}
