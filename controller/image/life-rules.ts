/**
 * The rules that an image lives by, and the moments that follow from them: pure; the caller gives the time.
 */
import { createHash } from 'node:crypto';
import { type CachePolicy, policyFor } from '../../api/cache-policy.ts';
import type { CachedImage, CachedImageStatus } from '../../api/cached-image.ts';
import { CONDITION_UPSTREAM_AVAILABLE, type UpstreamReason } from '../../api/reasons.ts';
import type { ConfigOf } from '../../platform/config.ts';
import { findCondition } from '../../platform/kube/conditions.ts';
import { parseTime } from '../../platform/kube/time.ts';
import { formatPlatform } from '../../registry/core/platform.ts';
import type { Reference } from '../../registry/core/reference.ts';
import type { ImageUsage } from '../cluster/usage.ts';
import type { controllerConfig } from '../config.ts';

/** The rules for one image, by the settings and its CachePolicy. All times are in milliseconds. */
export interface LifeRules {
  /** How long after its last use an image expires. */
  readonly expireAfterMs: number;
  /** Whether an image that upstream no longer serves is kept, however long nobody uses it. */
  readonly keepLost: boolean;
  /** How long an image that was never copied stays after its last pod. */
  readonly dropAfterMs: number;
  /** How often upstream is asked for the image. */
  readonly refreshEveryMs: number;
  /** How often the store is asked whether it holds all of the image. */
  readonly verifyEveryMs: number;
  /** How long an earlier digest of a tag stays at least. As long as a pod runs it, it stays anyway. */
  readonly keepPreviousMs: number;
  /** False: nothing is copied, and what the cache holds goes soon after its last pod. */
  readonly cache: boolean;
  /** Whether signatures and attestations are copied with the image; absent: the copier decides. */
  readonly referrers?: boolean;
  /** Whether the image never expires. */
  readonly retain: boolean;
  /** To be held in addition to the platforms of the cluster's nodes. */
  readonly platforms: readonly string[];
  /** The CachePolicy that these rules come from, if one applies. */
  readonly policy?: string;
  /** How long to try to remove an image from the store before it is left there. */
  readonly deleteDeadlineMs: number;
}

/** Reasons for which upstream does not serve the image, and may never serve it again. */
const LOST: readonly string[] = [
  'NotFound',
  'Unreachable',
  'TimedOut',
  'RateLimited',
  'UpstreamError',
] satisfies UpstreamReason[];

/**
 * When the image expires unless a pod uses it before, in milliseconds since the epoch; undefined when it does
 * not expire. An image that we may no longer read upstream (Unauthorized, Forbidden) is not kept as lost.
 */
export function expiresAt(
  { metadata, spec }: Pick<CachedImage, 'metadata' | 'spec'>,
  status: CachedImageStatus,
  usage: ImageUsage | undefined,
  rules: LifeRules,
): number | undefined {
  if (usage !== undefined || (spec.retain ?? rules.retain)) return undefined;
  if (rules.keepLost && status.digest !== undefined && isLost(status)) return undefined;
  const since = parseTime(status.lastUsedTime) ?? parseTime(metadata.creationTimestamp);
  return since === undefined ? undefined : since + rules.expireAfterMs;
}

export function isLost({ conditions }: CachedImageStatus): boolean {
  const upstream = findCondition(conditions, CONDITION_UPSTREAM_AVAILABLE);
  return upstream?.status === 'False' && LOST.includes(upstream.reason);
}

/** When upstream is to be asked next. The interval varies by image, so that images do not all ask at once. */
export function checkDueAt(name: string, status: CachedImageStatus, { refreshEveryMs }: LifeRules): number {
  const last = parseTime(status.lastCheckedTime);
  return last === undefined ? -Infinity : last + refreshEveryMs * (0.9 + 0.2 * shareOf(name));
}

/**
 * When the store is to be asked next.
 * @param last when this leader last asked; undefined when it has not asked yet, having led since `since`
 */
export function verifyDueAt(
  name: string,
  { last, since, suspectedAt = -Infinity }: { last?: number; since: number; suspectedAt?: number },
  { verifyEveryMs }: LifeRules,
): number {
  if ((last ?? -Infinity) < suspectedAt) return suspectedAt;
  return last === undefined ? since + verifyEveryMs * shareOf(name) : last + verifyEveryMs;
}

/**
 * The earlier digests of the tag that nobody needs any more: no pod runs them, and no pod that waits could be
 * about to.
 */
export function outdatedDigests(
  { previousDigests = [], digest }: CachedImageStatus,
  usage: ImageUsage | undefined,
  { keepPreviousMs }: LifeRules,
  now: number,
): readonly string[] {
  if (usage !== undefined && usage.waitingPods > 0) return [];
  return previousDigests
    .filter(({ replacedTime }) => (parseTime(replacedTime) ?? now) + keepPreviousMs <= now)
    .map((previous) => previous.digest)
    .filter((previous) => previous !== digest && usage?.digests.includes(previous) !== true);
}

/** A share from 0 to 1 that is always the same for a name. */
function shareOf(name: string): number {
  return createHash('sha256').update(name).digest().readUInt32BE() / 2 ** 32;
}

/** The rules for images that no policy matches. */
export function defaultLifeRules(settings: ConfigOf<typeof controllerConfig>): LifeRules {
  return {
    expireAfterMs: settings.expireAfter,
    keepLost: settings.keepLost,
    dropAfterMs: settings.dropAfter,
    refreshEveryMs: settings.refreshEvery,
    verifyEveryMs: settings.verifyEvery,
    keepPreviousMs: settings.keepPrevious,
    cache: true,
    retain: false,
    platforms: [],
    deleteDeadlineMs: settings.deleteDeadline,
  };
}

/** The policy that applies to an image, given the namespaces that use it. */
export function policyOf(
  policies: readonly CachePolicy[],
  { host, repository }: Reference,
  tenant: string | undefined,
  namespaces: readonly string[],
): CachePolicy | undefined {
  return policyFor(policies, { host, repository, namespaces: tenant === undefined ? namespaces : [tenant] });
}

/** What a policy leaves open stays as it is in `rules`. */
export function rulesUnder(rules: LifeRules, policy: CachePolicy | undefined): LifeRules {
  if (policy === undefined) return rules;
  const { cache = true, expireAfter, refreshEvery, referrers, retain, platforms } = policy.spec;
  return {
    ...rules,
    cache,
    expireAfterMs: cache ? (expireAfter ?? rules.expireAfterMs) : rules.dropAfterMs,
    ...(referrers === undefined ? {} : { referrers }),
    refreshEveryMs: refreshEvery ?? rules.refreshEveryMs,
    retain: retain ?? rules.retain,
    platforms: platforms?.map(formatPlatform) ?? rules.platforms,
    policy: policy.name,
  };
}
