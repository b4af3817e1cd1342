/** Bounds on waiting: deadlines for a step, and a guard against silence for bodies that may take any time. */
import { unlessAborted } from './unless-aborted.ts';

/** A step that took longer than it was allowed to. Trying again can help. */
export class DeadlineError extends Error {
  readonly code = 'TimedOut';
  readonly retryable = true;

  constructor(step: string, afterMs: number) {
    super(`${step} took longer than ${afterMs} ms`);
    this.name = 'DeadlineError';
  }
}

/**
 * Runs a step that must end in time.
 * @param step named in the error, e.g. `the head of the store's answer`
 * @throws {DeadlineError} when time is up; the caller's own reason when `signal` was aborted first
 */
export async function withDeadline<T>(
  step: string,
  ms: number,
  signal: AbortSignal | undefined,
  run: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const guard = new SilenceGuard(step, ms, signal);
  try {
    return await unlessAborted(run(guard.signal), guard.signal);
  } finally {
    guard.close();
  }
}

/** Aborts its signal when {@link touch} was not called for a while, or when the parent is aborted. Always close it. */
export class SilenceGuard {
  readonly #controller = new AbortController();
  readonly #timer: NodeJS.Timeout;
  readonly #parent: AbortSignal | undefined;
  readonly #onParent = (): void => {
    this.#controller.abort(this.#parent?.reason);
  };

  constructor(step: string, ms: number, parent?: AbortSignal) {
    this.#parent = parent;
    this.#timer = setTimeout(() => {
      this.#controller.abort(new DeadlineError(step, ms));
    }, ms);
    if (parent?.aborted) this.#onParent();
    else parent?.addEventListener('abort', this.#onParent, { once: true });
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Something happened: the time starts anew. */
  touch(): void {
    this.#timer.refresh();
  }

  /** Ends the watch; the signal stays as it is. */
  close(): void {
    clearTimeout(this.#timer);
    this.#parent?.removeEventListener('abort', this.#onParent);
  }
}
