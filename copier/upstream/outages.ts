/** Registries that cannot be reached: while one is known to be away, requests to it fail at once instead of waiting for it again. */
import type { CircuitBreaker } from '../../platform/circuit-breaker.ts';
import { isOutage, RegistryError, toRegistryError } from '../../registry/core/errors.ts';

export interface OutagesOptions {
  /** By the registry's host. */
  readonly breaker: CircuitBreaker;
  /** Milliseconds of a clock that never jumps. */
  readonly now: () => number;
}

export class Outages {
  readonly #options: OutagesOptions;

  constructor(options: OutagesOptions) {
    this.#options = options;
  }

  /** Asks a registry, unless it is away. @throws what `ask` throws; RegistryError with reason `Unreachable` while it is away */
  async unlessAway<T>(host: string, ask: () => Promise<T>): Promise<T> {
    const { breaker, now } = this.#options;
    if (breaker.request(host, now()) === 'deny') throw away(host);
    try {
      const answer = await ask();
      breaker.succeeded(host);
      return answer;
    } catch (error) {
      const failure = toRegistryError(error);
      if (isOutage(failure)) breaker.failed(host, now());
      // Who has left has not heard what the registry would have said.
      else if (failure.reason !== 'Canceled') breaker.succeeded(host);
      throw error;
    }
  }
}

function away(host: string): RegistryError {
  return new RegistryError(`${host} could not be reached a moment ago, and is asked again soon`, {
    reason: 'Unreachable',
  });
}
