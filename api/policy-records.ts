/** CachePolicies as the processes that only heed them watch them. */
import { type CachePolicy, parseCachePolicy } from './cache-policy.ts';
import { API_GROUP, API_VERSION, CACHE_POLICY_KIND, CACHE_POLICY_PLURAL } from './names.ts';

export interface PolicyRecord {
  readonly metadata: { readonly name?: string; readonly resourceVersion?: string };
  readonly policy: CachePolicy;
}

/** One that cannot be read applies to nothing; the controller says so on it. */
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
