/** How many transfers from one registry go on at the same time; the others wait for their turn. */

export class Turns {
  readonly #limit: number;
  readonly #hosts = new Map<string, { running: number; readonly waiting: (() => void)[] }>();

  /** @param limit per host */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Resolves when it is the caller's turn, to a function that ends it. @throws the signal's reason */
  async take(host: string, signal: AbortSignal): Promise<() => void> {
    signal.throwIfAborted();
    const lane = this.#hosts.get(host) ?? { running: 0, waiting: [] };
    this.#hosts.set(host, lane);
    if (lane.running < this.#limit) lane.running += 1;
    else await this.#wait(lane.waiting, signal);
    let mine = true;
    return () => {
      if (!mine) return;
      mine = false;
      // The turn goes over to the next one, so that nobody else can take it in between.
      const next = lane.waiting.shift();
      if (next !== undefined) next();
      else if ((lane.running -= 1) === 0) this.#hosts.delete(host);
    };
  }

  async #wait(waiting: (() => void)[], signal: AbortSignal): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<undefined>();
    const wake = (): void => {
      resolve(undefined);
    };
    const leave = (): void => {
      const place = waiting.indexOf(wake);
      // Whoever has been given the turn already keeps it, and gives it back.
      if (place < 0) return;
      waiting.splice(place, 1);
      reject(signal.reason as Error);
    };
    waiting.push(wake);
    signal.addEventListener('abort', leave, { once: true });
    await promise.finally(() => {
      signal.removeEventListener('abort', leave);
    });
  }
}
