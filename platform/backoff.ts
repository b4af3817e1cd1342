/** How long to wait before the next attempt. */

export interface BackoffPolicy {
  readonly baseMs: number;
  readonly maxMs: number;
}

/**
 * Exponential with equal jitter: between half and the whole of `base · 2^failures`, at most `maxMs`.
 * @param failures how many attempts had failed before the last one, from 0
 */
export function backoffMs(
  failures: number,
  policy: BackoffPolicy,
  random: () => number = Math.random,
): number {
  const ceiling = Math.min(policy.maxMs, policy.baseMs * 2 ** Math.min(failures, 30));
  return ceiling / 2 + random() * (ceiling / 2);
}

/** Counts by key how often something has failed in a row, and says how long to wait after each failure. */
export class Retries {
  readonly #failures = new Map<string, number>();
  readonly #random: () => number;

  constructor(random: () => number = Math.random) {
    this.#random = random;
  }

  /** One more failure. `waitMs` is how long to wait before the next attempt. */
  failed(key: string, policy: BackoffPolicy): { readonly failures: number; readonly waitMs: number } {
    const before = this.#failures.get(key) ?? 0;
    this.#failures.set(key, before + 1);
    return { failures: before + 1, waitMs: backoffMs(before, policy, this.#random) };
  }

  /** It succeeded, or is no longer tried: the next failure is the first again. */
  reset(key: string): void {
    this.#failures.delete(key);
  }
}
