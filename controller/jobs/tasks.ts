/** Questions and orders that take a while, one for an image at a time: how many at once, how fast, and how they ended. */
import { backoffMs, type BackoffPolicy } from '../../platform/backoff.ts';
import type { Clock } from '../../platform/clock.ts';
import type { Logger } from '../../platform/log.ts';

export interface ErrandsOptions<Q, A> {
  /** What is done, for the log. */
  readonly name: string;
  readonly perform: (request: Q, signal: AbortSignal) => Promise<A>;
  readonly clock: Clock;
  readonly log: Logger;
  /** At once. */
  readonly limit: number;
  /** Whom a request goes to: those to one are spaced. Default: all to the same. */
  readonly laneOf?: (request: Q) => string;
  /** Between the starts of two in one lane, in milliseconds. Default 0. */
  readonly spacingMs?: number;
  /** For how long nothing more is to be asked in a lane after such an answer, in milliseconds. Default 0. */
  readonly restAfterMs?: (answer: A) => number;
  readonly backoff: BackoffPolicy;
  /** Called when the state of a name has changed. */
  readonly onChange: (name: string) => void;
}

/** Times in milliseconds since the epoch. */
export type ErrandState<A> =
  /** `lastAt`: when the last one ended well. */
  | { readonly phase: 'idle'; readonly lastAt?: number }
  | { readonly phase: 'waiting' }
  | { readonly phase: 'done'; readonly answer: A; readonly at: number }
  | { readonly phase: 'failed'; readonly failures: number; readonly retryAt: number };

export class Errands<Q, A> {
  readonly #options: ErrandsOptions<Q, A>;
  readonly #states = new Map<string, ErrandState<A>>();
  readonly #failures = new Map<string, number>();
  readonly #waiting = new Map<string, Q>();
  /** When something may be asked again in a lane, of the monotonic clock. */
  readonly #freeAt = new Map<string, number>();
  readonly #running = new Set<Promise<void>>();
  readonly #stopping = new AbortController();
  #pump: Promise<void> | undefined;
  #wakeUp: () => void = () => undefined;

  constructor(options: ErrandsOptions<Q, A>) {
    this.#options = options;
  }

  state(name: string): ErrandState<A> {
    return this.#states.get(name) ?? { phase: 'idle' };
  }

  /** Does nothing while one is waiting or under way. */
  start(name: string, request: Q): void {
    if (this.state(name).phase === 'waiting' || this.#stopping.signal.aborted) return;
    this.#states.set(name, { phase: 'waiting' });
    this.#waiting.set(name, request);
    this.#wakeUp();
    this.#pump ??= this.#work();
  }

  /** The answer has been taken in. */
  settle(name: string): void {
    const state = this.state(name);
    if (state.phase === 'done') this.#states.set(name, { phase: 'idle', lastAt: state.at });
  }

  /** Nothing is known of the name any more; what is under way ends unheard. */
  forget(name: string): void {
    this.#waiting.delete(name);
    this.#states.delete(name);
    this.#failures.delete(name);
  }

  counts(): { readonly waiting: number; readonly running: number } {
    return { waiting: this.#waiting.size, running: this.#running.size };
  }

  /** Breaks off what is under way and waits until it has ended. */
  async stop(): Promise<void> {
    this.#waiting.clear();
    this.#stopping.abort(new Error('the controller is stopping'));
    this.#wakeUp();
    await this.#pump;
    await Promise.all(this.#running);
  }

  async #work(): Promise<void> {
    const { clock, limit, spacingMs = 0 } = this.#options;
    // What is started in the same turn is begun in the next, in the order of its arrival.
    await Promise.resolve();
    while (this.#waiting.size > 0) {
      if (this.#running.size >= limit) {
        await Promise.race(this.#running);
        continue;
      }
      const next = this.#next();
      if (next === undefined) {
        await this.#pause();
        continue;
      }
      const { name, request } = next;
      this.#waiting.delete(name);
      if (spacingMs > 0) this.#rest(this.#laneOf(request), clock.monotonic() + spacingMs);
      const ended = this.#perform(name, request).finally(() => this.#running.delete(ended));
      this.#running.add(ended);
    }
    this.#pump = undefined;
  }

  /** The first whose lane is free. */
  #next(): { readonly name: string; readonly request: Q } | undefined {
    const now = this.#options.clock.monotonic();
    for (const [name, request] of this.#waiting) {
      if ((this.#freeAt.get(this.#laneOf(request)) ?? -Infinity) <= now) return { name, request };
    }
    return undefined;
  }

  /** Until a lane becomes free, or something has come. */
  async #pause(): Promise<void> {
    const { clock } = this.#options;
    const over = new AbortController();
    const woken = new Promise<void>((resolve) => {
      this.#wakeUp = resolve;
    });
    const soonest = Math.min(...this.#freeAt.values());
    const slept = clock.sleep(Math.max(0, soonest - clock.monotonic()), over.signal).catch(() => undefined);
    await Promise.race([slept, woken]);
    over.abort();
    for (const [lane, at] of this.#freeAt) if (at <= clock.monotonic()) this.#freeAt.delete(lane);
  }

  #laneOf(request: Q): string {
    return this.#options.laneOf?.(request) ?? '';
  }

  #rest(lane: string, until: number): void {
    this.#freeAt.set(lane, Math.max(until, this.#freeAt.get(lane) ?? -Infinity));
  }

  /** Never rejects. */
  async #perform(name: string, request: Q): Promise<void> {
    const { clock } = this.#options;
    const { signal } = this.#stopping;
    const asked = this.state(name);
    let next: ErrandState<A>;
    try {
      const answer = await this.#options.perform(request, signal);
      next = { phase: 'done', answer, at: clock.now() };
      this.#failures.delete(name);
      const restMs = this.#options.restAfterMs?.(answer) ?? 0;
      if (restMs > 0) this.#rest(this.#laneOf(request), clock.monotonic() + restMs);
    } catch (error) {
      if (signal.aborted) return;
      next = this.#failed(name, error);
    }
    if (this.state(name) !== asked) return;
    this.#states.set(name, next);
    this.#options.onChange(name);
  }

  #failed(name: string, error: unknown): ErrandState<A> {
    const { backoff, clock, log } = this.#options;
    const failures = (this.#failures.get(name) ?? 0) + 1;
    this.#failures.set(name, failures);
    const waitMs = Math.ceil(backoffMs(failures - 1, backoff));
    log.warn('errand failed, it is tried again', {
      errand: this.#options.name,
      image: name,
      failures,
      retryInMs: waitMs,
      error,
    });
    return { phase: 'failed', failures, retryAt: clock.now() + waitMs };
  }
}
