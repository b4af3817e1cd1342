/** Decides whom to ask for a request, in which order, and what a person is told when nobody serves it. */
import { SELF_TEST_IMAGE } from '../../api/self-test.ts';
import { isOutage, type RegistryError } from '../../registry/core/errors.ts';
import { isByDigest, type PullPath } from '../../registry/core/pull-path.ts';

export type OriginName = 'store' | 'copier' | 'upstream';

/** `absent`: the next may have it. `refused`: upstream said no. `silent`: the origin hangs, or is very busy. `down`: it is of no use now. */
export type Verdict = 'absent' | 'refused' | 'silent' | 'down';

/** One origin to be asked. */
export interface Step {
  readonly origin: OriginName;
  /** Whoever may only be busy is given time: all that is left is to fetch from upstream what somebody may be fetching already. */
  readonly isPatient: boolean;
}

/** Why one origin did not serve. */
export interface Failure {
  readonly origin: OriginName;
  readonly verdict: Verdict;
  readonly error: RegistryError;
}

const STORE: Step = { origin: 'store', isPatient: false };
const COPIER_AT_ONCE: Step = { origin: 'copier', isPatient: false };
const COPIER: Step = { origin: 'copier', isPatient: true };
const UPSTREAM: Step = { origin: 'upstream', isPatient: true };

/**
 * What has a digest cannot go stale, so the store is asked first; a tag may have moved, which the copier knows. What is cached does not
 * wait for a copier that hangs; what is not waits a while for one that may only be busy (docs/adr/0005).
 * Upstream is asked last and anonymously, thus never for what belongs to a tenant, nor for the self-test's image, which no registry has.
 */
export function planSteps(path: PullPath): readonly Step[] {
  const peers = isByDigest(path) ? [STORE, COPIER] : [COPIER_AT_ONCE, STORE, COPIER];
  const isOurs = path.name === SELF_TEST_IMAGE.repository;
  return path.cached.tenant === undefined && !isOurs ? [...peers, UPSTREAM] : peers;
}

/**
 * A copier is asked again only when it was silent. Upstream's answer through the copier is as good as upstream's own: asking again would
 * only cost its rate limit.
 */
export function mayAsk({ origin }: Step, failures: readonly Failure[]): boolean {
  if (origin === 'upstream') return !failures.some(({ verdict }) => verdict === 'refused');
  return failures.every((failure) => failure.origin !== origin || failure.verdict === 'silent');
}

/** Whether it is better to ask others first for a while. */
export function hangs({ verdict, error }: Failure): boolean {
  if (verdict === 'silent') return true;
  return verdict === 'down' && isOutage(error);
}

/** The error that tells a person most: upstream's own, else what keeps us from asking it, else that it is not there. */
export function mostMeaningful(failures: readonly Failure[]): RegistryError | undefined {
  const last = (verdict: Verdict): Failure | undefined =>
    failures.findLast((failure) => failure.verdict === verdict);
  return (last('refused') ?? last('down') ?? last('silent') ?? last('absent'))?.error;
}
