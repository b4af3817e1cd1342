/** Tries the origins of a request in turn until one has what is asked for, before anything is sent to the client. */
import type { CircuitBreaker } from '../../platform/circuit-breaker.ts';
import { RegistryError } from '../../registry/core/errors.ts';
import type { Answer, Exchange, Origin } from '../transfer/response.ts';
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
  readonly onFailure: (exchange: Exchange, failure: Failure) => void;
}

export interface Served {
  readonly origin: OriginName;
  readonly answer: Answer;
}

export class Forwarder {
  readonly #options: ForwarderOptions;

  constructor(options: ForwarderOptions) {
    this.#options = options;
  }

  /** @throws RegistryError that says best why nobody served; the signal's reason when the client has gone */
  async open(exchange: Exchange): Promise<Served> {
    const { breaker, now, onFailure } = this.#options;
    const failures: Failure[] = [];
    const waiting = planSteps(exchange.path).map((step) => ({ step, postponed: false }));
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const { step, postponed } = next;
      const origin = this.#options.origins[step.origin];
      if (origin === undefined || !mayAsk(step, failures)) continue;
      const circuit = circuitOf(step, exchange);
      // An origin that is known to hang is asked all the same, but after those that answer.
      if (!postponed && !this.#admits(step, circuit)) {
        const comesAgain = waiting.some(({ step: { origin: later } }) => later === step.origin);
        if (!comesAgain) waiting.push({ step, postponed: true });
        continue;
      }
      const outcome = await origin.ask(exchange, step.isPatient);
      if (exchange.signal.aborted || !('verdict' in outcome && hangs(outcome))) breaker.succeeded(circuit);
      else breaker.failed(circuit, now());
      exchange.signal.throwIfAborted();
      if (!('verdict' in outcome)) return { origin: step.origin, answer: outcome };
      failures.push(outcome);
      onFailure(exchange, outcome);
    }
    throw mostMeaningful(failures) ?? new RegistryError('there is nobody to ask', { reason: 'Unreachable' });
  }

  /** While one finds out whether an origin that hung is back, the patient wait with it: else a crowd would go past it to upstream. */
  #admits({ isPatient }: Step, circuit: string): boolean {
    const { breaker, now } = this.#options;
    return breaker.request(circuit, now()) !== 'deny' || (isPatient && breaker.isProbed(circuit, now()));
  }
}

/** Each upstream host fails by itself; a peer is one, and what it has not done at once it may do in time. */
function circuitOf({ origin, isPatient }: Step, { path }: Exchange): string {
  if (origin === 'upstream') return path.cached.host;
  return isPatient ? `${origin} in time` : origin;
}
