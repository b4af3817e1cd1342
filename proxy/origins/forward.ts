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

export class Forwarder {
  readonly #options: ForwarderOptions;

  constructor(options: ForwarderOptions) {
    this.#options = options;
  }

  /** @throws RegistryError that tells best why nobody served; the signal's reason when the client has gone */
  async open(pull: Pull): Promise<Served> {
    const { breaker, now, onFailure } = this.#options;
    const failures: Failure[] = [];
    const waiting = planSteps(pull.path).map((step) => ({ step, postponed: false }));
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const { step, postponed } = next;
      const origin = this.#options.origins[step.origin];
      if (origin === undefined || !mayAsk(step, failures)) continue;
      const circuit = circuitOf(step, pull);
      // An origin that is known to hang is asked too, but after those that answer.
      if (!postponed && !this.#admits(step, circuit)) {
        const comesAgain = waiting.some(({ step: { origin: later } }) => later === step.origin);
        if (!comesAgain) waiting.push({ step, postponed: true });
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
   * While one client finds out whether an origin is back, patient ones wait with it: else a crowd would pass
   * by it to upstream.
   */
  #admits({ isPatient }: Step, circuit: string): boolean {
    const { breaker, now } = this.#options;
    return breaker.request(circuit, now()) !== 'deny' || (isPatient && breaker.isProbed(circuit, now()));
  }
}

/**
 * Each upstream host fails by itself. A peer counts as one, and may do in time what it has not done at once.
 */
function circuitOf({ origin, isPatient }: Step, { path }: Pull): string {
  if (origin === 'upstream') return path.cached.host;
  return isPatient ? `${origin} in time` : origin;
}
