/** One instance of distribution, kept running until it is stopped. */
import { backoffMs, type BackoffPolicy } from '../platform/backoff.ts';
import type { Clock } from '../platform/clock.ts';
import type { Logger } from '../platform/log.ts';
import type { ListenAddress } from '../platform/settings.ts';
import { Child } from './child.ts';
import type { Role } from './distribution-config.ts';
import { accepts, answers, debugPage, freeLoopbackPort } from './probe.ts';

const RESTART: BackoffPolicy = { baseMs: 200, maxMs: 10_000 };
/** Having worked for so long, an instance that ends is started again at once. */
const STEADY_MS = 60_000;
const RELEASE_MS = 2_000;
const PROBE_STARTING_MS = 50;
const PROBE_RUNNING_MS = 2_000;
/** One that stays silent for so many probes is killed, to be started anew. */
const SILENT_PROBES = 6;

export interface InstanceOptions {
  readonly role: Role;
  readonly listen: ListenAddress;
  readonly program: string;
  readonly env: NodeJS.ProcessEnv;
  /** Writes the configuration for the next run and tells its path. */
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

  /** Starts it. */
  constructor(options: InstanceOptions) {
    this.#options = options;
    this.#finished = this.#keepRunning(this.#stopping.signal);
  }

  /** True while it answers. */
  get ready(): boolean {
    return this.#answering;
  }

  /** distribution's own metrics; undefined while it does not answer. */
  async metrics(): Promise<string | undefined> {
    return this.#debugPort === undefined ? undefined : await debugPage(this.#debugPort, '/metrics');
  }

  /** Resolves once it answers; @throws the signal's reason when that comes first. */
  async whenReady(signal: AbortSignal): Promise<void> {
    while (!this.#answering) await this.#options.clock.sleep(PROBE_STARTING_MS, signal);
  }

  /** Ends it, letting requests under way finish as its configuration says, at most for `killAfterMs`. */
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

  /** Waits a moment for a former process of ours that is just closing; anybody else there makes the start fail, and that is logged. */
  async #addressReleased(signal: AbortSignal): Promise<void> {
    const { clock, listen } = this.#options;
    const until = clock.monotonic() + RELEASE_MS;
    while (clock.monotonic() < until && (await accepts(listen))) await clock.sleep(PROBE_STARTING_MS, signal);
  }

  /** Follows whether it answers, and kills one that has stopped to. */
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
