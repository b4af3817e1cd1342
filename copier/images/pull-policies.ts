/** The administrator's policies as they bear on pulls: how fresh a tag has to be, and whose login fetches a public name. */
import { type CachePolicy, policyFor } from '../../api/cache-policy.ts';
import type { PolicyRecord } from '../../api/policy-records.ts';
import type { CachedName } from '../../registry/core/cached-name.ts';

export class PullPolicies {
  readonly #records: () => Iterable<PolicyRecord>;
  readonly #freshForMs: number;

  /** @param freshForMs for what no policy speaks of, in milliseconds */
  constructor(records: () => Iterable<PolicyRecord>, freshForMs: number) {
    this.#records = records;
    this.#freshForMs = freshForMs;
  }

  /** Whether what is pulled under the name is kept; else it is only passed on. */
  keeps(name: CachedName): boolean {
    return this.#policyOf(name)?.spec.cache !== false;
  }

  /** How long a tag is served without asking upstream again, in milliseconds: Infinity where what is cached comes first. */
  freshForMs(name: CachedName): number {
    const { tagPolicy, freshFor = this.#freshForMs } = this.#policyOf(name)?.spec ?? {};
    return tagPolicy === 'CacheFirst' ? Infinity : freshFor;
  }

  /** The Secret of the release's namespace that a public name is fetched with; undefined: anonymously. */
  secretName(name: CachedName): string | undefined {
    return name.tenant === undefined ? this.#policyOf(name)?.spec.credentials?.secretName : undefined;
  }

  /** A pull does not tell for which pod it is, so that a policy for namespaces counts for these namespaces' own images only. */
  #policyOf({ tenant, host, repository }: CachedName): CachePolicy | undefined {
    const policies = [...this.#records()].map(({ policy }) => policy);
    const namespaces = tenant === undefined ? [] : [tenant];
    return policies.length === 0 ? undefined : policyFor(policies, { host, repository, namespaces });
  }
}
