/**
 * A queue of keys to reconcile: each key is in it once, no key is worked on twice at the same time, urgent
 * keys come first, failed ones later. It is level-triggered: a key says only that something may have changed,
 * and its worker looks at what is true by then. The controller's JobQueue is different: its entries are
 * orders with a content and a result, which must not be merged or repeated. Both count and retry failures in
 * the same way ({@link Retries}).
 */
import { type BackoffPolicy, Retries } from '../backoff.ts';
import { systemClock, type Clock } from '../clock.ts';
import type { Logger } from '../log.ts';

export interface AddOptions {
  /**
   * Larger goes first, equal ones in order of arrival. A waiting key keeps the largest it was given. Default
   * 0.
   */
  readonly priority?: number;
  /** Wait at least this many milliseconds. When a key is added again, the earlier time wins. */
  readonly afterMs?: number;
}

/** Undefined: done. Otherwise the key comes back later. An exception brings it back with backoff. */
export type WorkResult = { readonly requeueAfterMs: number; readonly priority?: number } | undefined;

export type Worker = (key: string, signal: AbortSignal) => Promise<WorkResult>;

export interface WorkQueueOptions {
  /** For the log. */
  readonly name: string;
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
  /** By the monotonic clock. */
  readonly dueAt: number;
  readonly sequence: number;
}

const DEFAULT_BACKOFF: BackoffPolicy = { baseMs: 500, maxMs: 300_000 };

export class WorkQueue {
  readonly #options: WorkQueueOptions;
  readonly #clock: Clock;
  /** Keys whose time has not come yet. */
  readonly #later = new Map<string, Item>();
  /** Keys that are due, by priority, each in the order in which they became due. */
  readonly #due = new Map<number, Map<string, Item>>();
  /** No key in `#later` is due before this moment. */
  #soonest = Infinity;
  readonly #running = new Set<string>();
  readonly #retries: Retries;
  #sequence = 0;
  #wakeUp: () => void = () => undefined;

  constructor(options: WorkQueueOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#retries = new Retries(options.random);
  }

  /** How many keys wait, including those whose time has not come. */
  get depth(): number {
    return [...this.#due.values()].reduce((sum, items) => sum + items.size, this.#later.size);
  }

  /** How many keys are being worked on. */
  get active(): number {
    return this.#running.size;
  }

  /** How long the longest waiting key has been due, in milliseconds; 0 when none is due. */
  get oldestWaitMs(): number {
    const now = this.#clock.monotonic();
    this.#promote(now);
    const firsts = [...this.#due.values()].flatMap((items) => items.values().next().value ?? []);
    return Math.max(0, ...firsts.map(({ dueAt }) => now - dueAt));
  }

  /** Asks for work on a key. A key that is being worked on right now is worked on again afterwards. */
  readonly add = (key: string, { priority = 0, afterMs = 0 }: AddOptions = {}): void => {
    const now = this.#clock.monotonic();
    this.#promote(now);
    const former = this.#holderOf(key)?.get(key);
    // It is waiting already, and keeps its place.
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
  };

  /** Works until the signal is aborted; resolves when the last worker is done. Call it once. */
  async run(worker: Worker, signal: AbortSignal): Promise<void> {
    const workers = new Set<Promise<void>>();
    while (!signal.aborted) {
      const changed = new Promise<void>((resolve) => {
        this.#wakeUp = resolve;
      });
      const now = this.#clock.monotonic();
      for (let item = this.#next(now); item; item = this.#next(now)) {
        this.#take(item.key);
        this.#running.add(item.key);
        const work = this.#work(worker, item.key, signal).finally(() => {
          workers.delete(work);
          this.#wakeUp();
        });
        workers.add(work);
      }
      await this.#pause(changed, now, signal);
    }
    await Promise.all(workers);
  }

  /** Waits until a key is added, a worker ends, or the next key is due. */
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

  /** The most urgent key that is due and not being worked on; undefined while all workers are busy. */
  #next(now: number): Item | undefined {
    if (this.#running.size >= this.#options.concurrency) return undefined;
    this.#promote(now);
    for (const priority of [...this.#due.keys()].sort((a, b) => b - a)) {
      for (const item of this.#due.get(priority)?.values() ?? [])
        if (!this.#running.has(item.key)) return item;
    }
    return undefined;
  }

  /**
   * Milliseconds until the next key becomes due. A due key that is being worked on waits for its worker
   * instead.
   */
  #nextDueIn(now: number): number | undefined {
    if (this.#running.size >= this.#options.concurrency || this.#later.size === 0) return undefined;
    return Math.max(0, this.#soonest - now);
  }

  /**
   * Moves the keys that have become due. It looks at all that wait, so it does nothing while none can be due.
   */
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

  async #work(worker: Worker, key: string, signal: AbortSignal): Promise<void> {
    const { log, name, backoff = DEFAULT_BACKOFF } = this.#options;
    try {
      const result = await worker(key, signal);
      this.#retries.reset(key);
      if (result) this.add(key, { afterMs: result.requeueAfterMs, priority: result.priority ?? 0 });
    } catch (error) {
      if (signal.aborted) return;
      const { failures, waitMs: afterMs } = this.#retries.failed(key, backoff);
      this.add(key, { afterMs });
      log.warn('work failed and will be tried again', { queue: name, key, failures, afterMs, error });
    } finally {
      this.#running.delete(key);
    }
  }
}

function byTime(a: Item, b: Item): number {
  return a.dueAt - b.dueAt || a.sequence - b.sequence;
}
