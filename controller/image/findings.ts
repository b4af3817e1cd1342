/** What checks, verifications and removals found out about an image, taken into its status: pure. */
import type { CachedImageStatus } from '../../api/cached-image.ts';
import type { CheckAnswer } from '../../api/copier-api.ts';
import { CONDITION_UPSTREAM_AVAILABLE, type UpstreamReason } from '../../api/reasons.ts';
import { type Condition, setCondition } from '../../platform/kube/conditions.ts';
import { formatBytes } from '../../platform/format-bytes.ts';
import { timestamp } from '../../platform/kube/time.ts';
import type { RemovalAnswer, Verification } from '../jobs/answers.ts';

/** `at` is in milliseconds since the epoch. */
export interface Findings {
  readonly check?: { readonly answer: CheckAnswer; readonly at: number };
  readonly verification?: { readonly answer: Verification; readonly at: number };
  readonly removal?: { readonly answer: RemovalAnswer; readonly at: number };
  /** Digests that have a CachedImage of their own, which looks after them. */
  readonly pinnedDigests: readonly string[];
}

export function learn(
  before: CachedImageStatus,
  { check, verification, removal, pinnedDigests }: Findings,
): CachedImageStatus {
  let status = before;
  if (verification !== undefined) status = verified(status, verification.answer, verification.at);
  if (check !== undefined) status = checked(status, check.answer, check.at);
  if (removal !== undefined) status = removed(status, removal.answer, removal.at);
  return withPrevious(
    status,
    (status.previousDigests ?? []).filter(({ digest }) => !pinnedDigests.includes(digest)),
  );
}

/** The status with another digest served from now on; the one before is remembered, since pods may still run it. */
export function servingDigest(status: CachedImageStatus, digest: string, at: number): CachedImageStatus {
  if (status.digest === digest) return status;
  const others = (status.previousDigests ?? []).filter((previous) => previous.digest !== digest);
  const left = status.digest === undefined ? [] : [{ digest: status.digest, replacedTime: timestamp(at) }];
  return { ...withPrevious(status, [...others, ...left].slice(-MAX_PREVIOUS)), digest };
}

/** The definition of the resource allows no more. */
const MAX_PREVIOUS = 16;

function verified(status: CachedImageStatus, answer: Verification, at: number): CachedImageStatus {
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

function checked(status: CachedImageStatus, answer: CheckAnswer, at: number): CachedImageStatus {
  const told = { ...status, lastCheckedTime: timestamp(at) };
  if (answer.upstream === 'Unavailable') {
    return withUpstream(told, { status: 'False', reason: answer.reason, message: answer.message }, at);
  }
  // Upstream is there, so that another copy may bring what did not come with the last.
  const again = status.referrersFailure === undefined ? {} : { referrers: undefined };
  return withUpstream({ ...told, ...again, upstreamDigest: answer.digest }, AVAILABLE, at);
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

function removed(status: CachedImageStatus, answer: RemovalAnswer, at: number): CachedImageStatus {
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
