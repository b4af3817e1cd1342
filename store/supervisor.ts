/**
 * Keeps the reading and the writing registry running, gives them their keys, and collects garbage while the
 * writer is stopped.
 */
import { randomBytes } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Collection, StoreStatus } from '../api/store-api.ts';
import type { Clock } from '../platform/clock.ts';
import type { Logger } from '../platform/log.ts';
import type { Component } from '../platform/run.ts';
import type { ListenAddress } from '../platform/settings.ts';
import {
  distributionConfig,
  distributionEnvironment,
  type InstanceRole,
  type StorageDriver,
} from './distribution-config.ts';
import { collectGarbage, prepareForCollector } from './garbage.ts';
import { Instance } from './instance.ts';
import { readRecord, writeRecord } from './record.ts';
import { acceptedKeys, type Trust } from './trust.ts';
import { UsageMeter } from './usage.ts';
import { volumeId } from './volume-id.ts';

export interface SupervisorSettings {
  readonly readerListen: ListenAddress;
  readonly writerListen: ListenAddress;
  readonly dataFolder: string;
  readonly runFolder: string;
  readonly registryProgram: string;
  /** Default: the data folder. */
  readonly storage?: StorageDriver | undefined;
  readonly drain: number;
  readonly collectDeadline: number;
}

/** Called for the metrics. */
export interface SupervisorEvents {
  readonly onRestart: (role: InstanceRole) => void;
  readonly onCollection: (collection: Collection) => void;
}

export interface SupervisorOptions {
  readonly settings: SupervisorSettings;
  readonly trust: { get(): Trust; subscribe(listener: (trust: Trust) => void): () => void };
  readonly clock: Clock;
  readonly log: Logger;
  readonly env: NodeJS.ProcessEnv;
  readonly events: SupervisorEvents;
}

/** How long requests under way may take when the whole store stops; the pod's own grace period is 30 s. */
const SHUTDOWN_KILL_MS = 15_000;
/** Added to the drain time, which distribution keeps by itself. */
const KILL_MARGIN_MS = 2_000;
/** After this the next step goes on, even if a new instance does not answer yet. */
const READY_MS = 30_000;

export class Supervisor implements Component {
  readonly name = 'supervisor';
  readonly #options: SupervisorOptions;
  readonly #env: NodeJS.ProcessEnv;
  readonly #meter: UsageMeter | undefined;
  /** The root directory of the filesystem driver. */
  readonly images: string;
  /**
   * The same for both instances and all their runs, so that a client can continue an upload after a restart.
   */
  readonly #httpSecret = randomBytes(32).toString('base64url');
  readonly #stopping = new AbortController();
  readonly #instances = new Map<InstanceRole, Instance>();
  readonly #leaving = new Set<Promise<void>>();
  /** Collections and changes of keys, one after the other. */
  #work: Promise<void> = Promise.resolve();
  #state: StoreStatus['state'] = 'serving';
  #collectionAsked = false;
  #lastCollection: Collection | null = null;
  #volumeId: string | null = null;

  constructor(options: SupervisorOptions) {
    this.#options = options;
    this.#env = distributionEnvironment(options.env);
    this.images = join(options.settings.dataFolder, 'registry');
    this.#meter = options.settings.storage ? undefined : new UsageMeter(this.images, options.clock);
  }

  async start(): Promise<{ stop: () => Promise<void> }> {
    const { settings, trust } = this.#options;
    await mkdir(settings.runFolder, { recursive: true });
    await mkdir(this.images, { recursive: true });
    if (!settings.storage) this.#volumeId = await volumeId(join(this.images, 'volume-id'));
    this.#lastCollection = await readRecord(this.#recordFile);
    this.#launch('reader');
    this.#launch('writer');
    const unsubscribe = trust.subscribe(() => {
      this.#enqueue('keys could not be changed', () => this.#changeKeys());
    });
    return {
      stop: async () => {
        unsubscribe();
        this.#stopping.abort(new Error('the store is stopping'));
        await this.#work;
        await Promise.all([...this.#instances.values()].map((instance) => instance.stop(SHUTDOWN_KILL_MS)));
        await Promise.all(this.#leaving);
      },
    };
  }

  /**
   * What readiness waits for: the reader only. A collection stops the writer for a while, and nodes are
   * served all the same.
   */
  readonly missing = (): string | undefined =>
    this.ready('reader') ? undefined : 'the reader does not answer';

  ready(role: InstanceRole): boolean {
    return this.#instances.get(role)?.ready ?? false;
  }

  /** The metrics of an instance itself; undefined while it does not answer. */
  registryMetrics(role: InstanceRole): Promise<string | undefined> {
    return this.#instances.get(role)?.metrics() ?? Promise.resolve(undefined);
  }

  async status(): Promise<StoreStatus> {
    return {
      volumeId: this.#volumeId,
      state: this.#state,
      reader: { ready: this.ready('reader') },
      writer: { ready: this.ready('writer') },
      volume: (await this.#meter?.volume()) ?? null,
      lastCollection: this.#lastCollection,
    };
  }

  /**
   * Orders a collection, to run as soon as possible. False when one has been ordered already and has not
   * ended yet.
   */
  requestCollection(): boolean {
    if (this.#collectionAsked) return false;
    this.#collectionAsked = true;
    this.#enqueue('collection failed', async () => {
      try {
        await this.#collect();
      } finally {
        this.#collectionAsked = false;
      }
    });
    return true;
  }

  #enqueue(failure: string, task: () => Promise<void>): void {
    this.#work = this.#work
      .then(() => (this.#stopping.signal.aborted ? undefined : task()))
      .catch((error: unknown) => {
        if (!this.#stopping.signal.aborted) this.#options.log.error(failure, { error });
      });
  }

  /** Stops the writer, collects, and starts the writer again. The reader keeps serving. */
  async #collect(): Promise<void> {
    const { clock, events, log, settings } = this.#options;
    const startedAt = new Date(clock.now()).toISOString();
    const began = clock.monotonic();
    let outcome: Pick<Collection, 'freedBytes' | 'error'>;
    log.info('collection started');
    this.#state = 'draining';
    try {
      await this.#instances.get('writer')?.stop(settings.drain + KILL_MARGIN_MS);
      this.#state = 'collecting';
      outcome = { freedBytes: await this.#sweep() };
    } catch (error) {
      log.error('collection failed', { error });
      outcome = { freedBytes: null, error: describe(error) };
    } finally {
      this.#state = 'serving';
      if (!this.#stopping.signal.aborted) this.#launch('writer');
    }
    const seconds = Math.round(clock.monotonic() - began) / 1_000;
    this.#lastCollection = { startedAt, seconds, ...outcome };
    log.info('collection ended', this.#lastCollection);
    events.onCollection(this.#lastCollection);
    await writeRecord(this.#recordFile, this.#lastCollection);
  }

  /** The bytes freed on disk; null where they cannot be counted. */
  async #sweep(): Promise<number | null> {
    const { settings } = this.#options;
    const before = await this.#meter?.measure();
    if (!settings.storage) await prepareForCollector(this.images);
    await collectGarbage({
      program: settings.registryProgram,
      env: this.#env,
      configFile: this.#configFile('writer'),
      deadlineMs: settings.collectDeadline,
      signal: this.#stopping.signal,
    });
    const after = await this.#meter?.measure();
    return before === undefined || after === undefined ? null : Math.max(0, before - after);
  }

  /**
   * distribution reads its keys only once, so each instance is replaced, the reader when the new writer
   * works.
   */
  async #changeKeys(): Promise<void> {
    const { log, settings } = this.#options;
    for (const role of ['writer', 'reader'] as const) {
      const former = this.#instances.get(role);
      // It stops listening at once, and finishes the requests under way beside its successor.
      if (former) this.#leave(former.stop(settings.drain + KILL_MARGIN_MS));
      const successor = this.#launch(role);
      const deadline = AbortSignal.timeout(READY_MS);
      try {
        await successor.whenReady(AbortSignal.any([this.#stopping.signal, deadline]));
        log.info('keys changed', { instance: role });
      } catch (error) {
        if (!deadline.aborted) throw error;
        log.error('keys changed, but the registry does not answer', { instance: role });
      }
    }
  }

  #leave(stopped: Promise<void>): void {
    const left = stopped.finally(() => this.#leaving.delete(left));
    this.#leaving.add(left);
  }

  #launch(role: InstanceRole): Instance {
    const { clock, events, log, settings } = this.#options;
    const instance = new Instance({
      role,
      listen: role === 'reader' ? settings.readerListen : settings.writerListen,
      program: settings.registryProgram,
      env: this.#env,
      prepare: (debugPort) => this.#writeConfig(role, debugPort),
      onRestart: () => {
        events.onRestart(role);
      },
      clock,
      log,
    });
    this.#instances.set(role, instance);
    return instance;
  }

  async #writeConfig(role: InstanceRole, debugPort: number): Promise<string> {
    const { settings, trust } = this.#options;
    const jwksFile = join(settings.runFolder, `${role}.jwks.json`);
    const config = distributionConfig({
      role,
      listen: role === 'reader' ? settings.readerListen : settings.writerListen,
      debugPort,
      jwksFile,
      httpSecret: this.#httpSecret,
      drainMs: settings.drain,
      storage: settings.storage ?? { name: 'filesystem', parameters: { rootdirectory: this.images } },
    });
    await writeFile(jwksFile, JSON.stringify(acceptedKeys(trust.get(), role)), { mode: 0o600 });
    await writeFile(this.#configFile(role), JSON.stringify(config), { mode: 0o600 });
    return this.#configFile(role);
  }

  #configFile(role: InstanceRole): string {
    return join(this.#options.settings.runFolder, `${role}.json`);
  }

  get #recordFile(): string {
    return join(this.#options.settings.dataFolder, 'last-collection.json');
  }
}

function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause ? `${error.message}: ${describe(error.cause)}` : error.message;
}
