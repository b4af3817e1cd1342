/**
 * Carries out the jobs of one kind, one at a time for an image: which starts next, how many run at once and
 * how fast, when a failed one may be tried again, and what is known of each. What sets the kinds apart is a
 * row of the table in kinds.ts.
 *
 * It is not the work queue of `platform/kube/`: that one holds keys, and a key added twice means the same as
 * one added once. A job is an order with a content of its own, and it has a result, which is kept until a
 * decision has taken it in.
 */
import type { ReadyReason } from '../../api/reasons.ts';
import { type BackoffPolicy, Retries } from '../../platform/backoff.ts';
import type { Clock } from '../../platform/clock.ts';
import type { Logger } from '../../platform/log.ts';
import { isUnderWay, type JobFailure, type JobProgress, type JobState } from './job-state.ts';
import { type LaneLimits, Lanes } from './lanes.ts';
import { OrderFailed } from './orders.ts';

/** A kind of job, with requests `Q` and results `R`. */
export interface JobKind<Q, R> {
  /** For the log. */
  readonly name: string;
  readonly perform: (
    request: Q,
    signal: AbortSignal,
    onProgress: (progress: JobProgress) => void,
  ) => Promise<R>;
  readonly limits: LaneLimits;
  /** The lane that a request belongs to, such as its registry. Default: one lane for all. */
  readonly laneOf?: (request: Q) => string;
  /** How long nothing more may start in the lane after such a result, in milliseconds. Default 0. */
  readonly restAfterMs?: (result: R) => number;
  /** Taken while a job runs. A job whose lock is taken by something else waits. */
  readonly lock?: JobLock<Q>;
  readonly backoff: (reason: ReadyReason) => BackoffPolicy;
  /**
   * Whether a request has the same effect as the one that failed; if not, its failures count from zero.
   * Default: always.
   */
  readonly isSame?: (failed: Q, request: Q) => boolean;
  /**
   * How often progress is reported at most, in milliseconds. Absent: nothing is reported before the end, not
   * even the start.
   */
  readonly progressEveryMs?: number;
  /** Counts a job that ended well. */
  readonly onDone: (result: R, seconds: number) => void;
  /** Counts an attempt that failed. */
  readonly onFailed: (reason: ReadyReason) => void;
}

export interface JobLock<Q> {
  /** Returns a function that releases the lock; undefined while the lock is taken. */
  readonly take: (request: Q) => (() => void) | undefined;
  /** Calls `look` whenever a lock that was taken may be free. */
  readonly onFree: (look: () => void) => void;
}

export interface JobQueueOptions {
  readonly clock: Clock;
  readonly log: Logger;
  /** Called with the name of an image when the state of its job has changed. */
  readonly onChange: (name: string) => void;
}

interface Waiting<Q> {
  readonly name: string;
  readonly request: Q;
  readonly priority: number;
  /** By the monotonic clock. */
  readonly since: number;
  readonly failure?: JobFailure;
}

interface Running {
  readonly abort: AbortController;
  ended: Promise<void>;
  /** False once the job was forgotten: then nobody wants to know how it ends. */
  isHeard: boolean;
}

const UNEXPECTED = {
  reason: 'Internal',
  message: 'an internal error of Larder; the log of the controller has the details',
  retryAfterSeconds: 0,
} as const;

const NO_ALARM = { at: Infinity, cancel: new AbortController() };

/** Keyed by the name of the CachedImage. */
export class JobQueue<Q, R> {
  readonly #kind: JobKind<Q, R>;
  readonly #options: JobQueueOptions;
  readonly #states = new Map<string, JobState<Q, R>>();
  /** By priority, each in order of arrival. */
  readonly #waiting = new Map<number, Map<string, Waiting<Q>>>();
  readonly #running = new Map<string, Running>();
  readonly #retries = new Retries();
  readonly #lanes: Lanes;
  #isStopped = false;
  /** When a lane that was found resting is looked at again, by the monotonic clock. */
  #alarm = NO_ALARM;

  constructor(kind: JobKind<Q, R>, options: JobQueueOptions) {
    this.#kind = kind;
    this.#options = options;
    this.#lanes = new Lanes(kind.limits);
    kind.lock?.onFree(() => {
      this.#dispatch();
    });
  }

  state(name: string): JobState<Q, R> {
    return this.#states.get(name) ?? { phase: 'idle' };
  }

  /**
   * Does nothing while a job of that name waits or runs.
   * @param priority larger goes first, equal ones in order of arrival
   */
  start(name: string, request: Q, priority = 0): void {
    const before = this.state(name);
    if (this.#isStopped || isUnderWay(before)) return;
    const failure = this.#failureBefore(name, before, request);
    const since = this.#options.clock.monotonic();
    const entry = { name, request, priority, since, ...failure };
    const equals = this.#waiting.get(priority) ?? new Map<string, Waiting<Q>>();
    this.#waiting.set(priority, equals.set(name, entry));
    this.#set(name, { phase: 'queued', request, ...failure });
    // All others that may start have been started already, so it is enough to look at this one.
    this.#tryToRun(entry);
  }

  /** The result of a job that is done has been taken in. */
  settle(name: string): void {
    const state = this.state(name);
    if (state.phase === 'done') this.#states.set(name, { phase: 'idle', lastAt: state.at });
  }

  /** Forgets the name. A job that runs goes on, and its end is not reported. */
  forget(name: string): void {
    for (const entries of this.#waiting.values()) entries.delete(name);
    this.#states.delete(name);
    this.#retries.reset(name);
    const running = this.#running.get(name);
    if (running !== undefined) running.isHeard = false;
  }

  /** Forgets the name and breaks off a job that runs. */
  cancel(name: string): void {
    this.forget(name);
    this.#running.get(name)?.abort.abort(new Error('nobody wants it any more'));
  }

  /** How many jobs wait and run, and how long the longest waiting one has waited, in milliseconds. */
  counts(): { readonly waiting: number; readonly running: number; readonly oldestWaitMs: number } {
    const now = this.#options.clock.monotonic();
    const queues = [...this.#waiting.values()];
    const firsts = queues.flatMap((entries) => entries.values().next().value ?? []);
    return {
      waiting: queues.reduce((sum, entries) => sum + entries.size, 0),
      running: this.#running.size,
      oldestWaitMs: Math.max(0, ...firsts.map(({ since }) => now - since)),
    };
  }

  /** Breaks off everything and waits until it has ended. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#waiting.clear();
    this.#alarm.cancel.abort();
    const all = [...this.#running.values()];
    for (const { abort } of all) abort.abort(new Error('the controller is stopping'));
    await Promise.all(all.map(({ ended }) => ended));
  }

  #failureBefore(name: string, before: JobState<Q, R>, request: Q): { readonly failure?: JobFailure } {
    const { isSame = () => true } = this.#kind;
    if (before.phase === 'failed' && isSame(before.request, request)) return { failure: before.failure };
    this.#retries.reset(name);
    return {};
  }

  /**
   * Starts what may start: by priority, then in order of arrival, passing over those whose lane or lock is
   * taken.
   */
  #dispatch(): void {
    for (const priority of [...this.#waiting.keys()].sort((a, b) => b - a)) {
      for (const entry of this.#waiting.get(priority)?.values() ?? []) {
        if (this.#lanes.isFull) return;
        this.#tryToRun(entry);
      }
    }
  }

  #tryToRun(entry: Waiting<Q>): void {
    const lane = this.#laneOf(entry.request);
    const now = this.#options.clock.monotonic();
    const freeAt = this.#lanes.freeAt(lane);
    if (now < freeAt) {
      this.#lookAgainAt(freeAt, now);
      return;
    }
    // A canceled job of the same name may still be ending.
    if (this.#running.has(entry.name) || !this.#lanes.hasRoom(lane)) return;
    const release = this.#kind.lock === undefined ? () => undefined : this.#kind.lock.take(entry.request);
    if (release === undefined) return;
    this.#lanes.enter(lane, now);
    this.#waiting.get(entry.priority)?.delete(entry.name);
    this.#run(entry, () => {
      this.#lanes.leave(lane);
      release();
    });
  }

  #run({ name, request, failure }: Waiting<Q>, release: () => void): void {
    const running: Running = { abort: new AbortController(), ended: Promise.resolve(), isHeard: true };
    this.#running.set(name, running);
    this.#set(name, { phase: 'running', request, ...(failure ? { failure } : {}) });
    running.ended = this.#attempt(name, request, running, failure).then((outcome) => {
      this.#running.delete(name);
      release();
      if (outcome !== undefined && running.isHeard) {
        this.#states.set(name, outcome);
        this.#options.onChange(name);
      }
      this.#dispatch();
    });
  }

  /** Never rejects. Undefined when the job was broken off. */
  async #attempt(
    name: string,
    request: Q,
    running: Running,
    before: JobFailure | undefined,
  ): Promise<JobState<Q, R> | undefined> {
    const { clock } = this.#options;
    const { perform, restAfterMs, onDone, onFailed } = this.#kind;
    const { signal } = running.abort;
    try {
      const began = clock.monotonic();
      const result = await perform(request, signal, this.#progressOf(name, request, running, before));
      const now = clock.monotonic();
      onDone(result, (now - began) / 1_000);
      const restMs = restAfterMs?.(result) ?? 0;
      if (restMs > 0) this.#lanes.rest(this.#laneOf(request), now + restMs);
      this.#retries.reset(name);
      return { phase: 'done', request, result, at: clock.now() };
    } catch (error) {
      if (signal.aborted) return undefined;
      const failure = this.#failed(name, error);
      onFailed(failure.reason);
      return { phase: 'failed', request, failure };
    }
  }

  #progressOf(
    name: string,
    request: Q,
    running: Running,
    failure: JobFailure | undefined,
  ): (progress: JobProgress) => void {
    const { progressEveryMs = Infinity } = this.#kind;
    let reportedAt = -Infinity;
    return ({ completedBytes, totalBytes }) => {
      if (!running.isHeard || running.abort.signal.aborted) return;
      const progress = { completedBytes, totalBytes };
      this.#states.set(name, { phase: 'running', request, progress, ...(failure ? { failure } : {}) });
      const now = this.#options.clock.monotonic();
      if (now - reportedAt < progressEveryMs) return;
      reportedAt = now;
      this.#options.onChange(name);
    };
  }

  #failed(name: string, error: unknown): JobFailure {
    const { clock, log } = this.#options;
    const isExpected = error instanceof OrderFailed;
    const { reason, message, retryAfterSeconds = 0 } = isExpected ? error : UNEXPECTED;
    const { failures, waitMs } = this.#retries.failed(name, this.#kind.backoff(reason));
    const at = clock.now();
    const retryAt = Math.ceil(at + Math.max(waitMs, retryAfterSeconds * 1_000));
    const cause: unknown = isExpected ? error.cause : error;
    log.warn('job failed and will be tried again', {
      job: this.#kind.name,
      image: name,
      reason,
      failure: message,
      failures,
      retryInMs: retryAt - at,
      ...(cause === undefined ? {} : { error: cause }),
    });
    return { reason, message, failures, at, retryAt };
  }

  /** Looks for what may start when a lane has rested, unless that is due earlier for another lane. */
  #lookAgainAt(at: number, now: number): void {
    if (this.#isStopped || at >= this.#alarm.at) return;
    this.#alarm.cancel.abort();
    const alarm = { at, cancel: new AbortController() };
    this.#alarm = alarm;
    this.#options.clock.sleep(at - now, alarm.cancel.signal).then(
      () => {
        this.#alarm = NO_ALARM;
        this.#dispatch();
      },
      () => undefined, // an earlier one was set, or the queue was stopped
    );
  }

  #laneOf(request: Q): string {
    return this.#kind.laneOf?.(request) ?? '';
  }

  /** A step before the end: it is reported only by kinds that report progress. */
  #set(name: string, state: JobState<Q, R>): void {
    this.#states.set(name, state);
    if (this.#kind.progressEveryMs !== undefined) this.#options.onChange(name);
  }
}
