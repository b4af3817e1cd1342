/**
 * What the administrator's policies say about pulls: whether they are kept, how fresh a tag must be, whose
 * login fetches a public name.
 */
import { type CachePolicy, policyFor } from '../../api/cache-policy.ts';
import type { PolicyRecord } from '../../api/policy-records.ts';
import type { CachedName } from '../../registry/core/cached-name.ts';
import type { PublicSecrets } from '../upstream/keyring.ts';
import type { SecretRef } from '../upstream/secret-reader.ts';

/** The policies as the cluster has them now. */
export interface PolicyRecords {
  values(): Iterable<PolicyRecord>;
}

export interface PullPoliciesOptions {
  readonly records: PolicyRecords;
  /** How long a tag is fresh where no policy says so, in milliseconds. */
  readonly freshForMs: number;
  /** Of the release, which has the Secrets that policies name; without it none is used. */
  readonly namespace: string | undefined;
}

export class PullPolicies implements PublicSecrets {
  readonly #options: PullPoliciesOptions;

  constructor(options: PullPoliciesOptions) {
    this.#options = options;
  }

  /** Whether what is pulled under the name is stored; else it is only passed on. */
  keeps(name: CachedName): boolean {
    return this.#policyOf(name)?.spec.cache !== false;
  }

  /** How long a tag is not checked upstream, in milliseconds; Infinity where the cache comes first. */
  freshForMs(name: CachedName): number {
    const { tagPolicy, freshFor = this.#options.freshForMs } = this.#policyOf(name)?.spec ?? {};
    return tagPolicy === 'CacheFirst' ? Infinity : freshFor;
  }

  publicSecret(name: CachedName): SecretRef | undefined {
    const { namespace } = this.#options;
    if (name.tenant !== undefined || namespace === undefined) return undefined;
    const secret = this.#policyOf(name)?.spec.credentials?.secretName;
    return secret === undefined ? undefined : { namespace, name: secret };
  }

  /**
   * A pull does not say which pod it is for, so that a policy for namespaces applies only to those
   * namespaces' own images.
   */
  #policyOf({ tenant, host, repository }: CachedName): CachePolicy | undefined {
    const policies = [...this.#options.records.values()].map(({ policy }) => policy);
    const namespaces = tenant === undefined ? [] : [tenant];
    return policies.length === 0 ? undefined : policyFor(policies, { host, repository, namespaces });
  }
}
