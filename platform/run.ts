/**
 * The life of a process: components start in order and stop in reverse, and the first failure stops them all.
 */
import type { Logger } from './log.ts';
import { unlessAborted } from './unless-aborted.ts';

/** A part of a process that starts and stops. */
export interface Component {
  readonly name: string;
  /** How long it may take to stop, in milliseconds. Default: the group's `graceMs`. */
  readonly stopMs?: number;
  /**
   * Resolves once the component works; rejects when it cannot. `signal` is aborted when the process is to
   * stop while it starts.
   */
  start(signal: AbortSignal): Promise<Running>;
}

export interface Running {
  /**
   * Rejects when the component fails later, resolves when it ends early without failing. Absent when it
   * cannot fail.
   */
  readonly done?: Promise<void>;
  /** Ends the component, and lets work under way finish. */
  stop(): Promise<void>;
}

/** A component that works until its signal is aborted, such as a watch or a queue's workers. */
export function loop(name: string, run: (signal: AbortSignal) => Promise<void>): Component {
  return {
    name,
    start: () => {
      const controller = new AbortController();
      const done = run(controller.signal).catch((error: unknown) => {
        if (!controller.signal.aborted) throw error;
      });
      done.catch(() => undefined); // the run group reports it; here it must not count as unhandled
      return Promise.resolve({
        done,
        stop: async () => {
          controller.abort(new Error(`${name} is stopping`));
          await done.catch(() => undefined);
        },
      });
    },
  };
}

/**
 * Runs components until the signal is aborted or one of them fails.
 * @param graceMs how long a component may take to stop before the next is stopped, in milliseconds
 * @throws the first failure, after everything has stopped
 */
export async function runGroup(
  components: readonly Component[],
  options: { readonly signal: AbortSignal; readonly log: Logger; readonly graceMs?: number },
): Promise<void> {
  const { signal, log, graceMs = 20_000 } = options;
  const failure = Promise.withResolvers<never>();
  failure.promise.catch(() => undefined);
  const started: { name: string; running: Running; stopMs: number }[] = [];
  try {
    for (const component of components) {
      signal.throwIfAborted();
      const running = await Promise.race([component.start(signal), failure.promise]);
      started.push({ name: component.name, running, stopMs: component.stopMs ?? graceMs });
      running.done?.catch(failure.reject);
      log.debug('component started', { component: component.name });
    }
    await unlessAborted(failure.promise, signal);
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    for (const { name, running, stopMs } of started.reverse()) await stop(name, running, stopMs, log);
  }
}

async function stop(name: string, running: Running, graceMs: number, log: Logger): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<'late'>((resolve) => {
    timer = setTimeout(resolve, graceMs, 'late');
  });
  try {
    const outcome = await Promise.race([running.stop(), late]);
    if (outcome === 'late') log.warn('component did not stop in time', { component: name, graceMs });
  } catch (error) {
    log.error('component failed to stop', { component: name, error });
  } finally {
    clearTimeout(timer);
  }
}
