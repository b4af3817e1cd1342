/** Which of the administrator's policies applies to an image. */
import { type CachePolicy, policyFor } from '../../api/cache-policy.ts';
import type { Reference } from '../../registry/core/reference.ts';

/** The policy for an image, given who uses it. */
export function policyOf(
  policies: readonly CachePolicy[],
  { host, repository }: Reference,
  tenant: string | undefined,
  users: readonly string[],
): CachePolicy | undefined {
  return policyFor(policies, { host, repository, namespaces: tenant === undefined ? users : [tenant] });
}
