/** Decides whom to ask for a request, in which order, and what a person is told when nobody serves it. */
import type { RegistryError } from '../registry/core/errors.ts';
import { isByDigest, type PullPath } from '../registry/core/pull-path.ts';

export type OriginName = 'store' | 'copier' | 'upstream';

/** `absent`: the next may have it. `refused`: upstream said no. `down`: the origin is of no use now. */
export type Verdict = 'absent' | 'refused' | 'down';

/** Why one origin did not serve. */
export interface Failure {
  readonly origin: OriginName;
  readonly verdict: Verdict;
  readonly error: RegistryError;
}

/**
 * What has a digest cannot go stale, so the store is asked first; a tag may have moved, which the copier knows.
 * Upstream is asked last and anonymously, thus never for what belongs to a tenant.
 */
export function planOrigins(path: PullPath): readonly OriginName[] {
  const peers: readonly OriginName[] = isByDigest(path) ? ['store', 'copier'] : ['copier', 'store'];
  return path.cached.tenant === undefined ? [...peers, 'upstream'] : peers;
}

/** Upstream's answer through the copier is as good as upstream's own: asking again would only cost its rate limit. */
export function mayAsk(origin: OriginName, failures: readonly Failure[]): boolean {
  return origin !== 'upstream' || !failures.some(({ verdict }) => verdict === 'refused');
}

/** The error that tells a person most: upstream's own, else what keeps us from asking it, else that it is not there. */
export function mostMeaningful(failures: readonly Failure[]): RegistryError | undefined {
  const last = (verdict: Verdict): Failure | undefined =>
    failures.findLast((failure) => failure.verdict === verdict);
  return (last('refused') ?? last('down') ?? last('absent'))?.error;
}
