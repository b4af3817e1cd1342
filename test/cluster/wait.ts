/** Waiting for a condition of the cluster, with something to read when it does not come. */
import { setTimeout as pause } from 'node:timers/promises';

/** The condition did not come in time. The message has what was seen last, and the dump. */
export class WaitError extends Error {
  override readonly name = 'WaitError';
}

export interface WaitOptions {
  readonly deadlineMs: number;
  readonly signal?: AbortSignal | undefined;
  /** Between two looks; default 100. */
  readonly intervalMs?: number;
  /** Says how things stand when the time is over. */
  readonly dump?: () => Promise<string>;
}

/**
 * Looks until `condition` gives something other than `undefined` or `false`, and gives that. A look that throws counts as not yet.
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
