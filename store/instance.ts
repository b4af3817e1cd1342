/** One instance of distribution, restarted whenever it ends until it is stopped. */
import { backoffMs, type BackoffPolicy } from '../platform/backoff.ts';
import type { Clock } from '../platform/clock.ts';
import type { Logger } from '../platform/log.ts';
import { accepts, freeLoopbackPort } from '../platform/ports.ts';
import type { ListenAddress } from '../platform/settings.ts';
import { Child } from './child.ts';
import type { InstanceRole } from './distribution-config.ts';
import { answers, debugPage } from './probe.ts';

const RESTART: BackoffPolicy = { baseMs: 200, maxMs: 10_000 };
/** An instance that ran for this long before it ended is restarted at once. */
const STEADY_MS = 60_000;
/** How long to wait for a former process to release the address. */
const RELEASE_MS = 2_000;
const PROBE_STARTING_MS = 50;
const PROBE_RUNNING_MS = 2_000;
/** After this many unanswered probes in a row an instance is killed, and so restarted. */
const SILENT_PROBES = 6;

export interface InstanceOptions {
  readonly role: InstanceRole;
  readonly listen: ListenAddress;
  readonly program: string;
  readonly env: NodeJS.ProcessEnv;
  /** Writes the configuration for the next run and returns its path. */
  readonly prepare: (debugPort: number) => Promise<string>;
  readonly onRestart: () => void;
  readonly clock: Clock;
  readonly log: Logger;
}

export class Instance {
  readonly #options: InstanceOptions;
  readonly #stopping = new AbortController();
  readonly #finished: Promise<void>;
  #child: Child | undefined;
  #debugPort: number | undefined;
  #answering = false;

  /** Starts the instance. */
  constructor(options: InstanceOptions) {
    this.#options = options;
    this.#finished = this.#keepRunning(this.#stopping.signal);
  }

  /** Whether the last probe was answered. */
  get ready(): boolean {
    return this.#answering;
  }

  /** distribution's own metrics; undefined while the instance does not answer. */
  async metrics(): Promise<string | undefined> {
    return this.#debugPort === undefined ? undefined : await debugPage(this.#debugPort, '/metrics');
  }

  /** Resolves once the instance answers. @throws the signal's reason when it is aborted before */
  async whenReady(signal: AbortSignal): Promise<void> {
    while (!this.#answering) await this.#options.clock.sleep(PROBE_STARTING_MS, signal);
  }

  /**
   * Ends the instance: requests under way get the drain time of its configuration, and `killAfterMs` at most.
   */
  async stop(killAfterMs: number): Promise<void> {
    this.#stopping.abort(new Error(`the ${this.#options.role} is stopping`));
    await this.#child?.stop(killAfterMs);
    await this.#finished;
  }

  async #keepRunning(signal: AbortSignal): Promise<void> {
    const { clock, log, role, onRestart } = this.#options;
    const stopped = (): boolean => signal.aborted;
    let failures = 0;
    while (!stopped()) {
      const began = clock.monotonic();
      const outcome = await this.#runOnce(signal).catch((error: unknown) => ({ error }));
      if (stopped()) return;
      failures = clock.monotonic() - began > STEADY_MS ? 0 : failures + 1;
      const delayMs = failures === 0 ? 0 : backoffMs(failures - 1, RESTART);
      log.error('registry ended, starting it again', { instance: role, ...outcome, delayMs });
      onRestart();
      await clock.sleep(delayMs, signal).catch(() => undefined);
    }
  }

  async #runOnce(signal: AbortSignal): Promise<object> {
    const { program, env, prepare } = this.#options;
    await this.#addressReleased(signal);
    const debugPort = await freeLoopbackPort();
    const configFile = await prepare(debugPort);
    if (signal.aborted) return {};
    const child = new Child({ program, args: ['serve', configFile], env });
    this.#child = child;
    this.#debugPort = debugPort;
    const watching = new AbortController();
    const watched = this.#watch(child, debugPort, watching.signal);
    try {
      return await child.ended;
    } finally {
      watching.abort();
      await watched;
      this.#answering = false;
      this.#child = undefined;
      this.#debugPort = undefined;
    }
  }

  /**
   * Waits a moment for a former process of ours to close. If anything else listens there, the start fails and
   * is logged.
   */
  async #addressReleased(signal: AbortSignal): Promise<void> {
    const { clock, listen } = this.#options;
    const until = clock.monotonic() + RELEASE_MS;
    while (clock.monotonic() < until && (await accepts(listen))) await clock.sleep(PROBE_STARTING_MS, signal);
  }

  /** Probes the child until aborted, and kills it when it no longer answers. */
  async #watch(child: Child, debugPort: number, signal: AbortSignal): Promise<void> {
    const { clock, listen, log, role } = this.#options;
    let worked = false;
    let silent = 0;
    while (!signal.aborted) {
      this.#answering = (await answers(debugPort)) && (await accepts(listen));
      if (this.#answering && !worked) log.info('registry answers', { instance: role });
      worked ||= this.#answering;
      silent = worked && !this.#answering ? silent + 1 : 0;
      if (silent === SILENT_PROBES) {
        log.error('registry does not answer, killing it', { instance: role });
        child.kill();
      }
      await clock.sleep(worked ? PROBE_RUNNING_MS : PROBE_STARTING_MS, signal).catch(() => undefined);
    }
  }
}
