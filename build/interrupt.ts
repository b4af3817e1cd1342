/** Ctrl-C as a signal that work can be given: what has been started is taken down before the process ends. */
import { InterruptedError } from './program.ts';

/**
 * Aborted with an {@link InterruptedError} by the first SIGINT or SIGTERM; the second ends the process at
 * once.
 */
export function onInterrupt(): AbortSignal {
  const interrupted = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM'] as const) {
    process.once(name, () => {
      interrupted.abort(new InterruptedError(`interrupted by ${name}`));
    });
  }
  return interrupted.signal;
}

/** Work that Ctrl-C ends: whatever it throws then, the error is the {@link InterruptedError}. */
export async function interruptible<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const signal = onInterrupt();
  try {
    return await work(signal);
  } catch (error) {
    signal.throwIfAborted();
    throw error;
  }
}
