/** Limits on waiting: a deadline for a step, and a guard against silence for a body of any length. */
import { unlessAborted } from './unless-aborted.ts';

/** A step took longer than it may. Trying again can help. */
export class DeadlineError extends Error {
  readonly code = 'TimedOut';
  readonly retryable = true;

  constructor(step: string, afterMs: number) {
    super(`${step} took longer than ${afterMs} ms`);
    this.name = 'DeadlineError';
  }
}

/**
 * Runs a step with a deadline. The step's signal is aborted when time is up.
 * @param step for the error's message, e.g. `the head of the store's response`
 * @throws {DeadlineError} when time is up; the reason of `signal` when that is aborted first
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

/**
 * Aborts its signal when {@link touch} has not been called for a while, or when the parent is aborted. Always
 * close it.
 */
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

  /** Something arrived: the time starts again. */
  touch(): void {
    this.#timer.refresh();
  }

  /** Stops guarding; the signal stays as it is. */
  close(): void {
    clearTimeout(this.#timer);
    this.#parent?.removeEventListener('abort', this.#onParent);
  }
}
