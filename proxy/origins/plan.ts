/** Decides which origins to ask for a pull, in which order, and what to tell the user when none serves it. */
import { SELF_TEST_IMAGE } from '../../api/self-test.ts';
import { isOutage, type RegistryError } from '../../registry/core/errors.ts';
import { isByDigest, type PullPath } from '../../registry/core/pull-path.ts';

export type OriginName = 'store' | 'copier' | 'upstream';

/**
 * `absent`: another may have it. `refused`: upstream said no. `silent`: it hangs, or is very busy. `down`: it
 * is of no use now.
 */
export type Verdict = 'absent' | 'refused' | 'silent' | 'down';

/** One origin to be asked. */
export interface Step {
  readonly origin: OriginName;
  /**
   * Waits longer for a silent origin: it may be busy fetching just this, and going on would make upstream
   * serve it twice.
   */
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
 * Content by its digest cannot go stale, so the store is asked first; a tag may have moved, which the copier
 * knows. A cached image does not wait for a copier that hangs; one that is not cached waits for a copier that
 * may only be busy (docs/adr/0005). Upstream is asked last and anonymously: never for what belongs to a
 * tenant, nor for the self-test image, which no registry has.
 */
export function planSteps(path: PullPath): readonly Step[] {
  const peers = isByDigest(path) ? [STORE, COPIER] : [COPIER_AT_ONCE, STORE, COPIER];
  const isOurs = path.name === SELF_TEST_IMAGE.repository;
  return path.cached.tenant === undefined && !isOurs ? [...peers, UPSTREAM] : peers;
}

/**
 * A copier is asked again only when it was silent. A refusal that the copier repeats is as good as upstream's
 * own: asking again would only count against its rate limit.
 */
export function mayAsk({ origin }: Step, failures: readonly Failure[]): boolean {
  if (origin === 'upstream') return !failures.some(({ verdict }) => verdict === 'refused');
  return failures.every((failure) => failure.origin !== origin || failure.verdict === 'silent');
}

/** Whether this origin is to be asked after the others for a while. */
export function hangs({ verdict, error }: Failure): boolean {
  if (verdict === 'silent') return true;
  return verdict === 'down' && isOutage(error);
}

/** The error that tells the user most: upstream's own, else why it could not be asked, else "not there". */
export function mostMeaningful(failures: readonly Failure[]): RegistryError | undefined {
  const last = (verdict: Verdict): Failure | undefined =>
    failures.findLast((failure) => failure.verdict === verdict);
  return (last('refused') ?? last('down') ?? last('silent') ?? last('absent'))?.error;
}
