/** CachePolicies, as watched by processes that only follow them. */
import { type CachePolicy, parseCachePolicy } from './cache-policy.ts';
import { API_GROUP, API_VERSION, CACHE_POLICY_KIND, CACHE_POLICY_PLURAL } from './names.ts';

export interface PolicyRecord {
  readonly metadata: { readonly name?: string; readonly resourceVersion?: string };
  readonly policy: CachePolicy;
}

/** A policy that cannot be read applies to nothing; the controller reports that in its status. */
export const policyRecords = {
  group: API_GROUP,
  version: API_VERSION,
  kind: CACHE_POLICY_KIND,
  plural: CACHE_POLICY_PLURAL,
  namespaced: false,
  decode: (raw: unknown): PolicyRecord | undefined => {
    try {
      const policy = parseCachePolicy(raw);
      return { metadata: (raw as Pick<PolicyRecord, 'metadata'>).metadata, policy };
    } catch {
      return undefined;
    }
  },
};
