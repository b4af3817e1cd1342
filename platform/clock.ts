/** Time as a parameter, so that decisions and loops can be tested without waiting. */
import { setTimeout as timer } from 'node:timers/promises';

export interface Clock {
  /** Milliseconds since the epoch. May jump: for timestamps only. */
  readonly now: () => number;
  /** Milliseconds since some fixed moment. Never jumps: for intervals and deadlines. */
  readonly monotonic: () => number;
  /** @throws the signal's reason once it is aborted */
  readonly sleep: (ms: number, signal?: AbortSignal) => Promise<void>;
}

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  sleep: async (ms, signal) => {
    signal?.throwIfAborted();
    try {
      await timer(ms, undefined, signal ? { signal } : {});
    } catch (error) {
      throw signal?.aborted ? signal.reason : error;
    }
  },
};

/** For tests: a clock that moves only when told to. */
export class ManualClock implements Clock {
  #time: number;
  #sleepers: { wakeAt: number; wake: () => void }[] = [];

  constructor(start = 0) {
    this.#time = start;
  }

  readonly now = (): number => this.#time;

  readonly monotonic = (): number => this.#time;

  /** How many callers are in {@link sleep}. */
  get sleeping(): number {
    return this.#sleepers.length;
  }

  readonly sleep = (ms: number, signal?: AbortSignal): Promise<void> =>
    new Promise((resolve, reject) => {
      if (signal?.aborted) {
        reject(signal.reason as Error);
        return;
      }
      const sleeper = { wakeAt: this.#time + ms, wake: resolve };
      this.#sleepers.push(sleeper);
      signal?.addEventListener(
        'abort',
        () => {
          this.#sleepers = this.#sleepers.filter((other) => other !== sleeper);
          reject(signal.reason as Error);
        },
        { once: true },
      );
    });

  /** Moves on and wakes, in order, those whose time has come. Resolves once they have begun to work. */
  async advance(ms: number): Promise<void> {
    const target = this.#time + ms;
    for (;;) {
      await settle();
      const next = this.#sleepers.filter((s) => s.wakeAt <= target).sort((a, b) => a.wakeAt - b.wakeAt)[0];
      if (!next) break;
      this.#time = Math.max(this.#time, next.wakeAt);
      this.#sleepers = this.#sleepers.filter((other) => other !== next);
      next.wake();
    }
    this.#time = target;
    await settle();
  }
}

/** Lets all pending microtasks run. */
function settle(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}
