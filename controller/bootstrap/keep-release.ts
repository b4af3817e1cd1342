/** Makes what the other processes mount, before anything else is done, and looks after it from then on. */
import { backoffMs } from '../../platform/backoff.ts';
import type { Clock } from '../../platform/clock.ts';
import type { Logger } from '../../platform/log.ts';
import type { Component } from '../../platform/run.ts';
import { loop } from '../../platform/run.ts';

const BACKOFF = { baseMs: 500, maxMs: 30_000 };
/** Certificates are renewed months before they expire; this is for Secrets that somebody deleted. */
const EVERY_MS = 60_000;

export interface ReleaseKeeper extends Component {
  /** The CAs to trust, PEM; empty before the component has started. */
  readonly bundle: () => string;
}

/** @param ensure see `ensureRelease`; it is tried until it works */
export function keepRelease(
  ensure: (signal: AbortSignal) => Promise<string>,
  { clock, log }: { readonly clock: Clock; readonly log: Logger },
): ReleaseKeeper {
  let bundle = '';
  const untilDone = async (signal: AbortSignal): Promise<void> => {
    for (let failures = 0; ; failures++) {
      try {
        bundle = await ensure(signal);
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
    bundle: () => bundle,
    start: async (starting) => {
      await untilDone(starting);
      return loop(name, async (signal) => {
        for (;;) {
          await clock.sleep(EVERY_MS, signal);
          await untilDone(signal);
        }
      }).start(starting);
    },
  };
}
