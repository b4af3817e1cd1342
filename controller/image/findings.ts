/** Takes what checks, verifications and removals found into the status of an image: pure. */
import type { CachedImageStatus } from '../../api/cached-image.ts';
import type { CheckAnswer } from '../../api/copier-api.ts';
import { CONDITION_UPSTREAM_AVAILABLE, type UpstreamReason } from '../../api/reasons.ts';
import { type Condition, setCondition } from '../../platform/kube/conditions.ts';
import { formatBytes } from '../../platform/format-bytes.ts';
import { timestamp } from '../../platform/kube/time.ts';
import type { RemoveResult, VerifyResult } from '../jobs/orders.ts';

/** The results of tasks that are done, by task; `at` is in milliseconds since the epoch. */
export interface Findings {
  readonly check?: { readonly result: CheckAnswer; readonly at: number };
  readonly verify?: { readonly result: VerifyResult; readonly at: number };
  readonly remove?: { readonly result: RemoveResult; readonly at: number };
  /** Digests that have a CachedImage of their own: it looks after them. */
  readonly pinnedDigests: readonly string[];
}

export function learn(
  before: CachedImageStatus,
  { check, verify, remove, pinnedDigests }: Findings,
): CachedImageStatus {
  let status = before;
  if (verify !== undefined) status = withVerification(status, verify.result, verify.at);
  if (check !== undefined) status = withCheck(status, check.result, check.at);
  if (remove !== undefined) status = withRemoval(status, remove.result, remove.at);
  return withPrevious(
    status,
    (status.previousDigests ?? []).filter(({ digest }) => !pinnedDigests.includes(digest)),
  );
}

/** The status once another digest is served. The earlier one is remembered, because pods may still run it. */
export function servingDigest(status: CachedImageStatus, digest: string, at: number): CachedImageStatus {
  if (status.digest === digest) return status;
  const others = (status.previousDigests ?? []).filter((previous) => previous.digest !== digest);
  const left = status.digest === undefined ? [] : [{ digest: status.digest, replacedTime: timestamp(at) }];
  return { ...withPrevious(status, [...others, ...left].slice(-MAX_PREVIOUS)), digest };
}

/** The CRD allows no more. */
const MAX_PREVIOUS = 16;

function withVerification(status: CachedImageStatus, answer: VerifyResult, at: number): CachedImageStatus {
  if (!answer.complete) return { ...status, requestedPlatforms: undefined };
  const { digest, sizeBytes, requested } = answer;
  return {
    ...servingDigest(status, digest, at),
    sizeBytes,
    size: formatBytes(sizeBytes),
    platforms: answer.platforms.length > 0 ? answer.platforms : (status.platforms ?? []),
    requestedPlatforms: [...requested],
  };
}

function withCheck(status: CachedImageStatus, answer: CheckAnswer, at: number): CachedImageStatus {
  const asked = { ...status, lastCheckedTime: timestamp(at) };
  if (answer.upstream === 'Unavailable') {
    return withUpstream(asked, { status: 'False', reason: answer.reason, message: answer.message }, at);
  }
  // Upstream works again, so another copy may bring the referrers that the last one could not.
  const again = status.referrersFailure === undefined ? {} : { referrers: undefined };
  return withUpstream({ ...asked, ...again, upstreamDigest: answer.digest }, AVAILABLE, at);
}

export const AVAILABLE = {
  status: 'True',
  reason: 'Available' satisfies UpstreamReason,
  message: 'the upstream serves the image',
} as const;

function withUpstream(
  status: CachedImageStatus,
  condition: Pick<Condition, 'status' | 'reason' | 'message'>,
  at: number,
): CachedImageStatus {
  const type = CONDITION_UPSTREAM_AVAILABLE;
  const { observedGeneration } = status;
  const conditions = setCondition(status.conditions ?? [], { type, ...condition, observedGeneration }, at);
  return { ...status, conditions: [...conditions] };
}

function withRemoval(status: CachedImageStatus, answer: RemoveResult, at: number): CachedImageStatus {
  const previous = (status.previousDigests ?? []).flatMap((entry) => {
    if (entry.digest !== answer.previous) return [entry];
    return answer.inUse ? [{ ...entry, replacedTime: timestamp(at) }] : [];
  });
  return withPrevious(status, previous);
}

function withPrevious(
  status: CachedImageStatus,
  previousDigests: NonNullable<CachedImageStatus['previousDigests']>,
): CachedImageStatus {
  return { ...status, previousDigests: previousDigests.length === 0 ? undefined : previousDigests };
}
