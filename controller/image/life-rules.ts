/** How long things last in the life of a cached image, and the moments that follow: pure, with time given. */
import type { CachePolicy } from '../../api/cache-policy.ts';
import type { ConfigOf } from '../../platform/config.ts';
import { formatPlatform } from '../../registry/core/platform.ts';
import type { config } from '../config.ts';
import { createHash } from 'node:crypto';
import type { CachedImage, CachedImageStatus } from '../../api/cached-image.ts';
import { CONDITION_UPSTREAM_AVAILABLE, type UpstreamReason } from '../../api/reasons.ts';
import { findCondition } from '../../platform/kube/conditions.ts';
import type { ImageUsage } from '../cluster/usage.ts';

/** What holds for one image; all times in milliseconds. */
export interface LifeRules {
  /** Unused for so long, an image expires. */
  readonly expireAfterMs: number;
  /** Whether an image that upstream does not serve any more stays, however long nobody uses it. */
  readonly keepLost: boolean;
  /** An image whose copy never began goes so long after its last pod. */
  readonly dropAfterMs: number;
  /** How often upstream is asked. */
  readonly refreshEveryMs: number;
  /** How often the store is asked whether it holds everything. */
  readonly verifyEveryMs: number;
  /** What a tag named before it moved stays at least so long, and as long as a pod runs it. */
  readonly keepPreviousMs: number;
  /** False: nothing is copied any more, and what there is goes soon after its last pod. */
  readonly cache: boolean;
  /** Whether signatures and attestations that refer to the image are copied with it; absent: as the copier does by itself. */
  readonly referrers?: boolean;
  /** Never expires. */
  readonly retain: boolean;
  /** Held beside those of the cluster's nodes. */
  readonly platforms: readonly string[];
  /** The CachePolicy that these rules come from, if one applies. */
  readonly policy?: string;
  /** A deletion that could not be carried out in the store is given up after so long. */
  readonly deleteDeadlineMs: number;
}

/** Upstream cannot give the image now, and nothing says that it will later. */
const LOST: readonly string[] = [
  'NotFound',
  'Unreachable',
  'TimedOut',
  'RateLimited',
  'UpstreamError',
] satisfies UpstreamReason[];

/**
 * When the image goes unless something uses it before, in milliseconds since the epoch; undefined when it does not go. Who may no
 * longer read it upstream (Unauthorized, Forbidden) does not keep it.
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

/** When upstream is to be asked next. Images take turns: each has its own moment within the interval. */
export function checkDueAt(name: string, status: CachedImageStatus, { refreshEveryMs }: LifeRules): number {
  const last = parseTime(status.lastCheckedTime);
  return last === undefined ? -Infinity : last + refreshEveryMs * (0.9 + 0.2 * shareOf(name));
}

/** @param last when the store was last asked; undefined when it was not in this term of leadership, which began at `since` */
export function verifyDueAt(
  name: string,
  { last, since, suspectedAt = -Infinity }: { last?: number; since: number; suspectedAt?: number },
  { verifyEveryMs }: LifeRules,
): number {
  if ((last ?? -Infinity) < suspectedAt) return suspectedAt;
  return last === undefined ? since + verifyEveryMs * shareOf(name) : last + verifyEveryMs;
}

/** What the tag named before and nobody can need any more: no pod runs it, and none can be about to. */
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

export function parseTime(text: string | undefined): number | undefined {
  const ms = Date.parse(text ?? '');
  return Number.isNaN(ms) ? undefined : ms;
}

/** From 0 to 1, the same for a name at all times. */
function shareOf(name: string): number {
  return createHash('sha256').update(name).digest().readUInt32BE() / 2 ** 32;
}

/** The rules as the settings have them, before any policy. */
export function lifeRules(settings: ConfigOf<typeof config>): LifeRules {
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

/** What a policy does not say stays as the settings have it. */
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
