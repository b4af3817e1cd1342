/**
 * Tries the origins of a request in turn until one has what is asked for, before anything is sent to the
 * client.
 */
import type { CircuitBreaker } from '../../platform/circuit-breaker.ts';
import { RegistryError } from '../../registry/core/errors.ts';
import type { OriginResponse } from '../transfer/response.ts';
import type { Origin, Pull } from './origin.ts';
import {
  hangs,
  mayAsk,
  mostMeaningful,
  planSteps,
  type Failure,
  type OriginName,
  type Step,
} from './plan.ts';

export interface ForwarderOptions {
  readonly origins: Readonly<Partial<Record<OriginName, Origin>>>;
  readonly breaker: CircuitBreaker;
  /** Milliseconds of a clock that never jumps. */
  readonly now: () => number;
  /** Told of each origin that did not serve. */
  readonly onFailure: (pull: Pull, failure: Failure) => void;
}

export interface Served {
  readonly origin: OriginName;
  readonly response: OriginResponse;
}

interface WaitingStep {
  readonly step: Step;
  /** The origin hung when it was its turn. It is asked now, whatever its circuit says. */
  readonly isPostponed: boolean;
}

export class Forwarder {
  readonly #options: ForwarderOptions;

  constructor(options: ForwarderOptions) {
    this.#options = options;
  }

  /**
   * An origin that is known to hang is asked after those that answer, unless it has another step anyway.
   * @throws RegistryError that tells best why nobody served; the signal's reason when the client has gone
   */
  async serve(pull: Pull): Promise<Served> {
    const { breaker, now, onFailure } = this.#options;
    const failures: Failure[] = [];
    const waiting: WaitingStep[] = planSteps(pull.path).map((step) => ({ step, isPostponed: false }));
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const { step, isPostponed } = next;
      const origin = this.#options.origins[step.origin];
      if (origin === undefined || !mayAsk(step, failures)) continue;
      const circuit = circuitOf(step, pull);
      if (!isPostponed && !this.#admits(step, circuit)) {
        postpone(step, waiting);
        continue;
      }
      const outcome = await origin.ask(pull, step.isPatient);
      if (pull.signal.aborted || !('verdict' in outcome && hangs(outcome))) breaker.succeeded(circuit);
      else breaker.failed(circuit, now());
      pull.signal.throwIfAborted();
      if (!('verdict' in outcome)) return { origin: step.origin, response: outcome };
      failures.push(outcome);
      onFailure(pull, outcome);
    }
    throw mostMeaningful(failures) ?? new RegistryError('there is nobody to ask', { reason: 'Unreachable' });
  }

  /**
   * False while the origin is known to hang. But when one client is just trying whether it is back, patient
   * ones try with it: else all of them would go past it to upstream.
   */
  #admits({ isPatient }: Step, circuit: string): boolean {
    const { breaker, now } = this.#options;
    return breaker.request(circuit, now()) !== 'deny' || (isPatient && breaker.isProbed(circuit, now()));
  }
}

/** Puts the step last. One whose origin has a later step is left out instead. */
function postpone(step: Step, waiting: WaitingStep[]): void {
  const comesAgain = waiting.some((later) => later.step.origin === step.origin);
  if (!comesAgain) waiting.push({ step, isPostponed: true });
}

/**
 * Each upstream host has a circuit. A peer has two: one that is too slow for an impatient request may be
 * quick enough for a patient one.
 */
function circuitOf({ origin, isPatient }: Step, { path }: Pull): string {
  if (origin === 'upstream') return path.cached.host;
  return isPatient ? `${origin} (patient)` : origin;
}
