/** Tries the origins of a request in turn until one has what is asked for, before anything is sent to the client. */
import type { CircuitBreaker } from '../platform/circuit-breaker.ts';
import { RegistryError } from '../registry/core/errors.ts';
import type { Answer, Exchange, Origin } from './answer.ts';
import { mayAsk, mostMeaningful, planOrigins, type Failure, type OriginName } from './plan.ts';

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
    const waiting = planOrigins(exchange.path).map((name) => ({ name, postponed: false }));
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const { name, postponed } = next;
      const origin = this.#options.origins[name];
      if (origin === undefined || !mayAsk(name, failures)) continue;
      const circuit = circuitOf(name, exchange);
      // An origin that is known to hang is asked all the same, but after those that answer.
      if (!postponed && breaker.request(circuit, now()) === 'deny') {
        waiting.push({ name, postponed: true });
        continue;
      }
      const outcome = await origin.ask(exchange);
      if (exchange.signal.aborted || !hangs(outcome)) breaker.succeeded(circuit);
      else breaker.failed(circuit, now());
      exchange.signal.throwIfAborted();
      if (!('verdict' in outcome)) return { origin: name, answer: outcome };
      failures.push(outcome);
      onFailure(exchange, outcome);
    }
    throw mostMeaningful(failures) ?? new RegistryError('there is nobody to ask', { reason: 'Unreachable' });
  }
}

/** Each upstream host fails by itself; a peer is one. */
function circuitOf(name: OriginName, { path }: Exchange): string {
  return name === 'upstream' ? path.cached.host : name;
}

function hangs(outcome: Answer | Failure): boolean {
  if (!('verdict' in outcome)) return false;
  return (
    outcome.verdict === 'down' &&
    (outcome.error.reason === 'TimedOut' || outcome.error.reason === 'Unreachable')
  );
}
