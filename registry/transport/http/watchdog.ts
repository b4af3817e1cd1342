/** Aborts an exchange when the next thing that is expected does not come in time. */
import { RegistryError } from '../../core/errors.ts';

export class Watchdog {
  readonly #url: URL;
  readonly #controller = new AbortController();
  #timer: NodeJS.Timeout | undefined;

  constructor(url: URL) {
    this.#url = url;
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  expect(what: 'head' | 'bytes', ms: number): void {
    this.clear();
    const message =
      what === 'head'
        ? `${this.#url.host} did not answer within ${ms} ms`
        : `${this.#url.host} was silent for ${ms} ms`;
    this.#timer = setTimeout(() => {
      this.#controller.abort(new RegistryError(message, { reason: 'TimedOut' }));
    }, ms);
  }

  clear(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
