/** The copies that are waiting and under way: who goes first, how many at once, and when to try again. */
import { backoffMs, type BackoffPolicy } from '../../platform/backoff.ts';
import type { ReadyReason } from '../../api/reasons.ts';
import type { Clock } from '../../platform/clock.ts';
import type { Logger } from '../../platform/log.ts';
import { type Copy, OrderFailed } from './copier-client.ts';
import {
  type CopyFailure,
  type CopyProgress,
  type CopyRequest,
  type CopyState,
  sameRequest,
} from './copy-state.ts';
import { repositoryOf } from '../../api/stored-image.ts';

export interface CopiesOptions {
  readonly copy: Copy;
  readonly clock: Clock;
  readonly log: Logger;
  /** At once, in total and from one upstream host. */
  readonly limits: { readonly total: number; readonly perUpstream: number };
  readonly backoff: BackoffPolicy;
  /** Whether nothing may be copied into a repository just now; `retry` when that changes. */
  readonly isBlocked: (repository: string) => boolean;
  /** Progress is told at most this often, in milliseconds. */
  readonly progressEveryMs: number;
  /** Called when the state of a name has changed. */
  readonly onChange: (name: string) => void;
  /** Called for every attempt that failed. */
  readonly onFailure: (reason: string) => void;
  /** Called for every copy that ended well, with what it has brought and how long it took. */
  readonly onCopied: (sizeBytes: number, seconds: number) => void;
}

const UNEXPECTED = {
  reason: 'Internal',
  message: 'the copy failed for a reason of our own; the log of the controller tells it',
  retryAfterSeconds: 0,
} as const;

/** Nobody upstream is spared by waiting long for these, and pods wait for the end of them. */
const OWN_TROUBLE: readonly ReadyReason[] = ['CopierUnavailable', 'StoreUnavailable'];
const OWN_TROUBLE_MAX_MS = 15_000;

interface Waiting {
  readonly name: string;
  readonly state: Extract<CopyState, { phase: 'queued' }>;
  readonly priority: number;
  /** Of the monotonic clock. */
  readonly since: number;
}

interface Running {
  readonly controller: AbortController;
  readonly ended: Promise<void>;
}

/** Keyed by the name of the CachedImage; one copy for a name at a time. */
export class Copies {
  readonly #options: CopiesOptions;
  readonly #states = new Map<string, CopyState>();
  readonly #running = new Map<string, Running>();
  readonly #perUpstream = new Map<string, number>();
  readonly #perRepository = new Map<string, number>();
  #waiting: Waiting[] = [];

  constructor(options: CopiesOptions) {
    this.#options = options;
  }

  state(name: string): CopyState {
    return this.#states.get(name) ?? { phase: 'idle' };
  }

  /** Puts the copy into the queue, or moves it there; one that is under way goes on. */
  start(name: string, request: CopyRequest, priority: number): void {
    const before = this.state(name);
    if (before.phase === 'running') return;
    if (before.phase === 'queued') this.#withdraw(name);
    const failure = failureOf(before);
    const again = failure !== undefined && 'request' in before && sameRequest(before.request, request);
    const state = { phase: 'queued', request, ...(again ? { failure } : {}) } as const;
    this.#waiting.push({ name, state, priority, since: this.#options.clock.monotonic() });
    this.#set(name, state);
    this.#dispatch();
  }

  /** Forgets the name; a copy under way is stopped. */
  cancel(name: string): void {
    this.#withdraw(name);
    this.#running.get(name)?.controller.abort(new Error('nobody wants the copy any more'));
    this.settle(name);
  }

  /** Forgets how the last copy ended. */
  settle(name: string): void {
    this.#states.delete(name);
  }

  /** Stops everything and waits until it has. */
  async stop(): Promise<void> {
    this.#waiting = [];
    const all = [...this.#running.values()];
    for (const { controller } of all) controller.abort(new Error('the controller is stopping'));
    await Promise.all(all.map(({ ended }) => ended));
  }

  /** Looks again whether something may start. */
  retry(): void {
    this.#dispatch();
  }

  /** Whether a copy into a repository of the store is under way. */
  isCopyingInto(repository: string): boolean {
    return (this.#perRepository.get(repository) ?? 0) > 0;
  }

  /** How many wait and how many are under way, and for how long the first has waited, in milliseconds. */
  counts(): { readonly waiting: number; readonly running: number; readonly oldestWaitMs: number } {
    const waiting = this.#waiting;
    const running = this.#running;
    const now = this.#options.clock.monotonic();
    const oldestWaitMs = Math.max(0, ...waiting.slice(0, 1).map(({ since }) => now - since));
    return { waiting: waiting.length, running: running.size, oldestWaitMs };
  }

  #withdraw(name: string): void {
    this.#waiting = this.#waiting.filter((entry) => entry.name !== name);
  }

  /** Starts what may start: by priority, then in the order of arrival, passing over upstreams that are busy. */
  #dispatch(): void {
    const byPriority = this.#waiting.toSorted((a, b) => b.priority - a.priority);
    for (const entry of byPriority) {
      if (this.#running.size >= this.#options.limits.total) return;
      // A canceled copy of the same name may still be on its way out.
      if (this.#running.has(entry.name) || this.#isBusy(entry.state.request)) continue;
      this.#withdraw(entry.name);
      this.#run(entry);
    }
  }

  #isBusy(request: CopyRequest): boolean {
    const { isBlocked, limits } = this.#options;
    const underWay = this.#perUpstream.get(request.reference.host) ?? 0;
    return underWay >= limits.perUpstream || isBlocked(repositoryOf(request));
  }

  #run({ name, state }: Waiting): void {
    const controller = new AbortController();
    const { host } = state.request.reference;
    const repository = repositoryOf(state.request);
    add(this.#perUpstream, host, 1);
    add(this.#perRepository, repository, 1);
    this.#set(name, { ...state, phase: 'running' });
    const ended = this.#attempt(name, state, controller.signal).then((outcome) => {
      this.#running.delete(name);
      add(this.#perUpstream, host, -1);
      add(this.#perRepository, repository, -1);
      if (outcome !== undefined) this.#set(name, outcome);
      this.#dispatch();
    });
    this.#running.set(name, { controller, ended });
  }

  /** Never rejects: undefined when the copy was canceled. */
  async #attempt(
    name: string,
    { request, failure }: Waiting['state'],
    signal: AbortSignal,
  ): Promise<CopyState | undefined> {
    const { copy, clock } = this.#options;
    const onProgress = this.#progressOf(name, request, failure, signal);
    try {
      const began = clock.monotonic();
      const result = await copy(request, { signal, onProgress });
      this.#options.onCopied(result.sizeBytes, (clock.monotonic() - began) / 1_000);
      return signal.aborted ? undefined : { phase: 'done', request, result, at: clock.now() };
    } catch (error) {
      if (signal.aborted) return undefined;
      const failed = this.#failed(error, failure);
      this.#logFailure(name, failed, error);
      this.#options.onFailure(failed.reason);
      return { phase: 'failed', request, failure: failed };
    }
  }

  #progressOf(
    name: string,
    request: CopyRequest,
    failure: CopyFailure | undefined,
    signal: AbortSignal,
  ): (progress: CopyProgress) => void {
    let toldAt = -Infinity;
    return ({ completedBytes, totalBytes }) => {
      if (signal.aborted) return;
      const progress = { completedBytes, totalBytes };
      this.#states.set(name, { phase: 'running', request, progress, ...(failure ? { failure } : {}) });
      const now = this.#options.clock.monotonic();
      if (now - toldAt < this.#options.progressEveryMs) return;
      toldAt = now;
      this.#options.onChange(name);
    };
  }

  #failed(error: unknown, before: CopyFailure | undefined): CopyFailure {
    const { backoff, clock } = this.#options;
    const { reason, message, retryAfterSeconds = 0 } = error instanceof OrderFailed ? error : UNEXPECTED;
    const failures = (before?.failures ?? 0) + 1;
    const maxMs = OWN_TROUBLE.includes(reason) ? Math.min(OWN_TROUBLE_MAX_MS, backoff.maxMs) : backoff.maxMs;
    const waitMs = Math.max(backoffMs(failures - 1, { ...backoff, maxMs }), retryAfterSeconds * 1_000);
    const at = clock.now();
    return { reason, message, failures, at, retryAt: Math.ceil(at + waitMs) };
  }

  #logFailure(name: string, { reason, message, failures, at, retryAt }: CopyFailure, error: unknown): void {
    const cause: unknown = error instanceof OrderFailed ? error.cause : error;
    const fields = { image: name, reason, failure: message, failures, retryInMs: retryAt - at };
    this.#options.log.warn('copy failed', { ...fields, ...(cause === undefined ? {} : { error: cause }) });
  }

  #set(name: string, state: CopyState): void {
    this.#states.set(name, state);
    this.#options.onChange(name);
  }
}

function add(counts: Map<string, number>, key: string, change: 1 | -1): void {
  const count = (counts.get(key) ?? 0) + change;
  if (count === 0) counts.delete(key);
  else counts.set(key, count);
}

function failureOf(state: CopyState): CopyFailure | undefined {
  return 'failure' in state ? state.failure : undefined;
}
