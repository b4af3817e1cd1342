/** Limits how many transfers from one registry run at the same time; the others wait in line. */

export class HostLimiter {
  readonly #limit: number;
  readonly #hosts = new Map<string, { running: number; readonly waiting: (() => void)[] }>();

  /** @param limit per host */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Waits for a place. @returns a function that frees it @throws the signal's reason */
  async acquire(host: string, signal: AbortSignal): Promise<() => void> {
    signal.throwIfAborted();
    const state = this.#hosts.get(host) ?? { running: 0, waiting: [] };
    this.#hosts.set(host, state);
    if (state.running < this.#limit) state.running += 1;
    else await this.#wait(state.waiting, signal);
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      // The place passes straight to the next in line, so that no newcomer can take it in between.
      const next = state.waiting.shift();
      if (next !== undefined) next();
      else if ((state.running -= 1) === 0) this.#hosts.delete(host);
    };
  }

  async #wait(waiting: (() => void)[], signal: AbortSignal): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<undefined>();
    const wake = (): void => {
      resolve(undefined);
    };
    const leave = (): void => {
      const index = waiting.indexOf(wake);
      // One that has been woken already has the place, and frees it like any other.
      if (index < 0) return;
      waiting.splice(index, 1);
      reject(signal.reason as Error);
    };
    waiting.push(wake);
    signal.addEventListener('abort', leave, { once: true });
    await promise.finally(() => {
      signal.removeEventListener('abort', leave);
    });
  }
}
