/** What the administrator's policies mean for one image: which of them applies, and the rules of its life under it. */
import { type CachePolicy, policyFor } from '../api/cache-policy.ts';
import type { Reference } from '../registry/core/reference.ts';
import { formatPlatform } from '../registry/core/platform.ts';
import type { LifeRules } from './life-rules.ts';

/** The policy for an image, given who uses it. */
export function policyOf(
  policies: readonly CachePolicy[],
  { host, repository }: Reference,
  tenant: string | undefined,
  users: readonly string[],
): CachePolicy | undefined {
  return policyFor(policies, { host, repository, namespaces: tenant === undefined ? users : [tenant] });
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
