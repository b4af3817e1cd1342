/** The administrator's policies as admission reads them: which images are not to be cached. */
import { type CachePolicy, parseCachePolicy } from '../api/cache-policy.ts';
import { API_GROUP, API_VERSION, CACHE_POLICY_KIND, CACHE_POLICY_PLURAL } from '../api/names.ts';
import type { KubeObject, Resource } from '../platform/kube/resource.ts';

export interface PolicyRecord extends KubeObject {
  readonly policy: CachePolicy;
}

/** One that cannot be read applies to nothing; the controller says so on it. */
export const policyRecords: Resource<PolicyRecord> = {
  group: API_GROUP,
  version: API_VERSION,
  kind: CACHE_POLICY_KIND,
  plural: CACHE_POLICY_PLURAL,
  namespaced: false,
  decode: (raw) => {
    try {
      return { metadata: (raw as KubeObject).metadata ?? {}, policy: parseCachePolicy(raw) };
    } catch {
      return undefined;
    }
  },
};
