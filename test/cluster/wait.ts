/** Waits for a condition of the cluster, and says what was seen when it never holds. */
import { setTimeout as pause } from 'node:timers/promises';

/** The condition did not hold in time. The message has what was seen last, and the dump. */
export class WaitError extends Error {
  override readonly name = 'WaitError';
}

export interface WaitOptions {
  readonly deadlineMs: number;
  readonly signal?: AbortSignal | undefined;
  /** Between two checks; default 100. */
  readonly intervalMs?: number;
  /** Describes the situation when time is up. */
  readonly dump?: () => Promise<string>;
}

/**
 * Calls `condition` until it gives something other than `undefined` or `false`, and gives that. One that
 * throws is called again.
 * @throws {WaitError} after the deadline.
 */
export async function waitFor<T>(
  what: string,
  condition: () => Promise<T | undefined | false>,
  options: WaitOptions,
): Promise<T> {
  const deadline = performance.now() + options.deadlineMs;
  let problem: unknown;
  for (;;) {
    options.signal?.throwIfAborted();
    try {
      const found = await condition();
      if (found !== undefined && found !== false) return found;
      problem = undefined;
    } catch (error) {
      problem = error;
    }
    if (performance.now() > deadline) break;
    await pause(options.intervalMs ?? 100, undefined, options.signal ? { signal: options.signal } : {});
  }
  const dump = await options.dump?.().catch((error: unknown) => String(error));
  const seen = problem instanceof Error ? `: ${problem.message}` : '';
  throw new WaitError(`${what}: not within ${options.deadlineMs / 1000} s${seen}${dump ? `\n${dump}` : ''}`, {
    cause: problem,
  });
}
