/** A queue of keys to reconcile: each key once, none worked on twice at the same time, urgent ones first, failed ones later. */
import { backoffMs, type BackoffPolicy } from '../backoff.ts';
import { systemClock, type Clock } from '../clock.ts';
import type { Logger } from '../log.ts';
import { type Component, loop } from '../run.ts';

export interface AddOptions {
  /** Larger goes first; equal ones in the order of their arrival. A waiting key keeps the largest it was given. Default 0. */
  readonly priority?: number;
  /** Not before this many milliseconds; an earlier time given for the same key wins. */
  readonly afterMs?: number;
}

/** What a worker says: done, or come back later. An exception means: come back with backoff. */
export type WorkResult = { readonly requeueAfterMs: number; readonly priority?: number } | undefined;

export type Worker = (key: string, signal: AbortSignal) => Promise<WorkResult>;

export interface WorkQueueOptions {
  readonly name: string;
  readonly worker: Worker;
  readonly log: Logger;
  /** Keys worked on at the same time. */
  readonly concurrency: number;
  readonly backoff?: BackoffPolicy;
  readonly clock?: Clock;
  readonly random?: () => number;
}

interface Item {
  readonly key: string;
  readonly priority: number;
  /** Of the monotonic clock. */
  readonly dueAt: number;
  readonly sequence: number;
}

const DEFAULT_BACKOFF: BackoffPolicy = { baseMs: 500, maxMs: 300_000 };

export class WorkQueue {
  readonly #options: WorkQueueOptions;
  readonly #clock: Clock;
  readonly #later = new Map<string, Item>();
  /** What is due, by priority, each in the order in which it became due. */
  readonly #due = new Map<number, Map<string, Item>>();
  /** No key in `later` is due before. */
  #soonest = Infinity;
  readonly #running = new Set<string>();
  readonly #failures = new Map<string, number>();
  #sequence = 0;
  #wakeUp: () => void = () => undefined;

  constructor(options: WorkQueueOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
  }

  /** Keys that wait, also those that wait for their time. */
  get depth(): number {
    return [...this.#due.values()].reduce((sum, items) => sum + items.size, this.#later.size);
  }

  /** Keys being worked on. */
  get active(): number {
    return this.#running.size;
  }

  /** How long the key that has been due longest has waited, in milliseconds; 0 when none is due. */
  get oldestWaitMs(): number {
    const now = this.#clock.monotonic();
    this.#promote(now);
    const firsts = [...this.#due.values()].flatMap((items) => items.values().next().value ?? []);
    return Math.max(0, ...firsts.map(({ dueAt }) => now - dueAt));
  }

  /** Asks for a key to be worked on; one that is being worked on just now is worked on again afterwards. */
  add(key: string, { priority = 0, afterMs = 0 }: AddOptions = {}): void {
    const now = this.#clock.monotonic();
    this.#promote(now);
    const former = this.#holderOf(key)?.get(key);
    // It keeps its place.
    if (former !== undefined && former.dueAt <= now && former.priority >= priority) return;
    this.#take(key);
    this.#put(
      {
        key,
        priority: Math.max(priority, former?.priority ?? priority),
        dueAt: Math.min(now + afterMs, former?.dueAt ?? Infinity),
        sequence: former?.sequence ?? this.#sequence++,
      },
      now,
    );
    this.#wakeUp();
  }

  /** The component that works. When it stops it waits for the workers, whose signal is aborted. */
  component(): Component {
    return loop(this.#options.name, (signal) => this.run(signal));
  }

  /** Works until the signal is aborted; resolves when the last worker is done. */
  async run(signal: AbortSignal): Promise<void> {
    const workers = new Set<Promise<void>>();
    while (!signal.aborted) {
      const changed = new Promise<void>((resolve) => {
        this.#wakeUp = resolve;
      });
      const now = this.#clock.monotonic();
      for (let item = this.#next(now); item; item = this.#next(now)) {
        this.#take(item.key);
        this.#running.add(item.key);
        const work = this.#work(item, signal).finally(() => {
          workers.delete(work);
          this.#wakeUp();
        });
        workers.add(work);
      }
      await this.#pause(changed, now, signal);
    }
    await Promise.all(workers);
  }

  /** Waits until something was added, a worker ended, or the next key is due. */
  async #pause(changed: Promise<void>, now: number, signal: AbortSignal): Promise<void> {
    const cancel = new AbortController();
    const stop = (): void => {
      cancel.abort(signal.reason);
    };
    signal.addEventListener('abort', stop, { once: true });
    const dueIn = this.#nextDueIn(now);
    const sleep = this.#clock.sleep(dueIn ?? 3_600_000, cancel.signal).catch(() => undefined);
    await Promise.race([changed, sleep]);
    signal.removeEventListener('abort', stop);
    cancel.abort();
  }

  /** The most urgent key that is due, not being worked on, and for which there is room. */
  #next(now: number): Item | undefined {
    if (this.#running.size >= this.#options.concurrency) return undefined;
    this.#promote(now);
    for (const priority of [...this.#due.keys()].sort((a, b) => b - a)) {
      for (const item of this.#due.get(priority)?.values() ?? [])
        if (!this.#running.has(item.key)) return item;
    }
    return undefined;
  }

  /** Milliseconds until a key becomes due; one that is due and runs waits for its worker instead. */
  #nextDueIn(now: number): number | undefined {
    if (this.#running.size >= this.#options.concurrency || this.#later.size === 0) return undefined;
    return Math.max(0, this.#soonest - now);
  }

  /** Moves what has become due. All of what is not is looked at, so only when there is something to move. */
  #promote(now: number): void {
    if (now < this.#soonest) return;
    const items = [...this.#later.values()].filter(({ dueAt }) => dueAt <= now).sort(byTime);
    for (const item of items) {
      this.#later.delete(item.key);
      this.#put(item, now);
    }
    this.#soonest = Infinity;
    for (const { dueAt } of this.#later.values()) this.#soonest = Math.min(this.#soonest, dueAt);
  }

  #put(item: Item, now: number): void {
    if (item.dueAt > now) {
      this.#later.set(item.key, item);
      this.#soonest = Math.min(this.#soonest, item.dueAt);
      return;
    }
    const items = this.#due.get(item.priority) ?? new Map<string, Item>();
    this.#due.set(item.priority, items.set(item.key, item));
  }

  #take(key: string): void {
    this.#holderOf(key)?.delete(key);
  }

  #holderOf(key: string): Map<string, Item> | undefined {
    return [this.#later, ...this.#due.values()].find((items) => items.has(key));
  }

  async #work(item: Item, signal: AbortSignal): Promise<void> {
    const { worker, log, name, backoff = DEFAULT_BACKOFF, random } = this.#options;
    const { key } = item;
    try {
      const result = await worker(key, signal);
      this.#failures.delete(key);
      if (result) this.add(key, { afterMs: result.requeueAfterMs, priority: result.priority ?? 0 });
    } catch (error) {
      if (signal.aborted) return;
      const failures = this.#failures.get(key) ?? 0;
      const afterMs = backoffMs(failures, backoff, random);
      this.#failures.set(key, failures + 1);
      this.add(key, { afterMs });
      log.warn('work failed, it is tried again', {
        queue: name,
        key,
        failures: failures + 1,
        afterMs,
        error,
      });
    } finally {
      this.#running.delete(key);
    }
  }
}

function byTime(a: Item, b: Item): number {
  return a.dueAt - b.dueAt || a.sequence - b.sequence;
}
