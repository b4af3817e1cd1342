/** Composes what brings images into the cache, looks after them there, and lets them go. */
import type { EventRecorder } from '../platform/kube/events.ts';
import type { WorkQueue } from '../platform/kube/work-queue.ts';
import type { Component } from '../platform/run.ts';
import type { Writer } from './cluster/fenced.ts';
import { objectEvents } from './cluster/object-events.ts';
import { cacheRecords, imageRecords } from './cluster/resources.ts';
import { Users } from './cluster/users.ts';
import type { Watches } from './cluster/watches.ts';
import { gatherer } from './image/gather.ts';
import { lifeRules } from './image/life-rules.ts';
import { PodNotices } from './image/pod-notices.ts';
import { Reconciler } from './image/reconciler.ts';
import { Suspicion } from './image/suspicion.ts';
import { ImageWriter } from './image/writer.ts';
import { CopierClient, tokenFrom } from './jobs/copier-client.ts';
import { jobKinds, jobQueues, stopJobs } from './jobs/kinds.ts';
import { Removals } from './jobs/removals.ts';
import { RepositoryLocks } from './jobs/repository-locks.ts';
import type { LeaderOptions } from './leader-options.ts';
import type { ControllerMetrics, Sources } from './metrics.ts';
import { CacheKeeper } from './store/cache-keeper.ts';
import { ownStoreKeeper } from './store/own-store.ts';

export interface ImageLifeOptions extends LeaderOptions {
  readonly metrics: ControllerMetrics;
  readonly watches: Watches;
  /** Of images to look at, by name. */
  readonly queue: WorkQueue;
  readonly writer: Writer;
  readonly events: EventRecorder;
  /** The CAs that may have signed the copier's certificate, in PEM. */
  readonly ca: () => string;
}

export interface ImageLife {
  readonly components: readonly Component[];
  readonly sources: Sources;
}

export function imageLife(options: ImageLifeOptions): ImageLife {
  const { settings, client, clock, log, metrics, watches, queue, writer, events } = options;
  const { images } = watches;

  const suspicion = new Suspicion({ images, queue, clock, log });
  const store = ownStoreKeeper(options, suspicion.raise);
  const users = new Users(client, watches.wanting);

  const copier = new CopierClient({
    url: settings.copierUrl,
    serverName: settings.copierServerName,
    ca: options.ca,
    beforeOrder: options.assertLeader,
    token: tokenFrom(settings.copierTokenFile),
    silenceMs: settings.copySilence,
  });
  const repositories = new RepositoryLocks();
  const removals = new Removals({
    readUsers: users.read,
    remove: copier.remove,
    repositories,
    ...(store === undefined ? {} : { onRemoved: store.removed }),
  });
  const kinds = jobKinds({ copier, removals, repositories, settings, metrics });
  const jobs = jobQueues(kinds, { clock, log, onChange: queue.add });

  const cacheKeeper = new CacheKeeper({
    ...watches,
    name: settings.fullname,
    ...(store === undefined ? {} : { store }),
    ...(settings.maxSize === undefined ? {} : { limitBytes: settings.maxSize }),
    onEvict: queue.add,
    writer,
    recordEvent: objectEvents(events, cacheRecords, 'Keep'),
    clock,
    log,
  });

  const { isEvicted } = cacheKeeper;
  const rules = lifeRules(settings);
  const reconciler = new Reconciler({
    ...watches,
    gather: gatherer({ ...watches, jobs, repositories, suspicion, rules, isEvicted, clock }),
    writer: new ImageWriter({ images, writer, readUsers: users.read, log }),
    queue,
    jobs,
    suspicion,
    onExpired: metrics.expired,
    recordEvent: objectEvents(events, imageRecords, 'Copy', metrics.imageEvent),
    notifyPods: new PodNotices({ ...watches, events }).notify,
    log,
  });

  return {
    components: [
      ...(store === undefined ? [] : [store.component()]),
      cacheKeeper.component(),
      stopJobs(jobs, copier),
      reconciler.component(),
    ],
    sources: { ...watches, queue, jobs, cacheKeeper },
  };
}
