/**
 * Makes the certificates and logins that the other processes mount before anything else starts, and keeps
 * them from then on.
 */
import { backoffMs } from '../../platform/backoff.ts';
import type { Clock } from '../../platform/clock.ts';
import type { Logger } from '../../platform/log.ts';
import { type Component, loop } from '../../platform/run.ts';

const BACKOFF = { baseMs: 500, maxMs: 30_000 };

/**
 * @param ensure see `ensureRelease`; it is retried until it succeeds
 * @param everyMs how often to look, mainly for Secrets that somebody deleted: certificates are renewed months
 * before they expire
 */
export function keepRelease(
  ensure: (signal: AbortSignal) => Promise<void>,
  { clock, log, everyMs }: { readonly clock: Clock; readonly log: Logger; readonly everyMs: number },
): Component {
  const untilDone = async (signal: AbortSignal): Promise<void> => {
    for (let failures = 0; ; failures++) {
      try {
        await ensure(signal);
        return;
      } catch (error) {
        signal.throwIfAborted();
        log.warn('certificates and logins could not be made', { failures: failures + 1, error });
        await clock.sleep(backoffMs(failures, BACKOFF), signal);
      }
    }
  };
  const name = 'certificates and logins';
  return {
    name,
    start: async (starting) => {
      await untilDone(starting);
      return loop(name, async (signal) => {
        for (;;) {
          await clock.sleep(everyMs, signal);
          await untilDone(signal);
        }
      }).start(starting);
    },
  };
}
