/**
 * Registries that could not be reached: for a while, requests to them fail at once instead of waiting again.
 */
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

  /**
   * @throws what `ask` throws; RegistryError `Unreachable` without asking, while the registry is known to be
   * down
   */
  async unlessDown<T>(host: string, ask: () => Promise<T>): Promise<T> {
    const { breaker, now } = this.#options;
    if (breaker.request(host, now()) === 'deny') throw down(host);
    try {
      const result = await ask();
      breaker.succeeded(host);
      return result;
    } catch (error) {
      const failure = toRegistryError(error);
      if (isOutage(failure)) breaker.failed(host, now());
      // A caller that left did not wait for the registry's answer, so that nothing is known of it.
      else if (failure.reason !== 'Canceled') breaker.succeeded(host);
      throw error;
    }
  }
}

function down(host: string): RegistryError {
  return new RegistryError(`${host} could not be reached a moment ago, and is asked again soon`, {
    reason: 'Unreachable',
  });
}
