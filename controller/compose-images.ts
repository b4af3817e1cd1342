/** Composes what brings images into the cache, looks after them there, and lets them go. */
import type { EventRecorder } from '../platform/kube/events.ts';
import type { WorkQueue } from '../platform/kube/work-queue.ts';
import type { Component } from '../platform/run.ts';
import type { Writer } from './cluster/fenced.ts';
import { objectEvents } from './cluster/object-events.ts';
import { cacheRecords, imageRecords } from './cluster/resources.ts';
import { UsageReader } from './cluster/usage-reader.ts';
import type { Watches } from './cluster/watches.ts';
import { composeStoreKeeper } from './compose-store.ts';
import { gatherer } from './image/gather.ts';
import { defaultLifeRules } from './image/life-rules.ts';
import { PodNotices } from './image/pod-notices.ts';
import { Reconciler } from './image/reconciler.ts';
import { Suspicion } from './image/suspicion.ts';
import { ImageWriter } from './image/writer.ts';
import { CopierClient, tokenFrom } from './jobs/copier-client.ts';
import { jobKinds, jobQueues, stopJobs } from './jobs/kinds.ts';
import { Removals } from './jobs/removals.ts';
import { RepositoryLocks } from './jobs/repository-locks.ts';
import type { LeaderOptions } from './leader-options.ts';
import type { Sources } from './metrics.ts';
import { CacheKeeper } from './store/cache-keeper.ts';

export interface ImageOptions extends LeaderOptions {
  readonly watches: Watches;
  /** Names of images to look at. */
  readonly imageQueue: WorkQueue;
  readonly writer: Writer;
  readonly events: EventRecorder;
  /** The CAs that may have signed the copier's certificate, in PEM. */
  readonly ca: () => string;
}

export interface ImageParts {
  readonly components: readonly Component[];
  readonly sources: Sources;
}

export function composeImages(options: ImageOptions): ImageParts {
  const { settings, client, assertLeader, clock, log, metrics, watches, imageQueue, writer, events } =
    options;
  const { images, pods, policies, caches, standingFor, usage, platforms, synced } = watches;

  const suspicion = new Suspicion({ images, imageQueue, clock, log });
  const storeKeeper = composeStoreKeeper(options, suspicion.raise);
  const { read: readUsage } = new UsageReader(client, watches.scope);

  const copier = new CopierClient({
    url: settings.copierUrl,
    serverName: settings.copierServerName,
    ca: options.ca,
    beforeOrder: assertLeader,
    token: tokenFrom(settings.copierTokenFile),
    silenceMs: settings.copySilence,
  });
  const repositories = new RepositoryLocks();
  const removals = new Removals({
    readUsage,
    remove: copier.remove,
    repositories,
    ...(storeKeeper === undefined ? {} : { onRemoved: storeKeeper.removed }),
  });
  const kinds = jobKinds({ copier, removals, repositories, settings, metrics });
  // The only way back from a job to a decision: when the job's state changes, the image is queued again, and
  // the next decision about it reads that state.
  const jobs = jobQueues(kinds, { clock, log, onChange: imageQueue.add });

  const cacheKeeper = new CacheKeeper({
    name: settings.fullname,
    caches,
    images,
    standingFor,
    usage,
    synced,
    ...(storeKeeper === undefined ? {} : { storeKeeper }),
    ...(settings.maxSize === undefined ? {} : { limitBytes: settings.maxSize }),
    onEvict: imageQueue.add,
    writer,
    recordEvent: objectEvents(events, cacheRecords, 'Keep'),
    clock,
    log,
  });

  const gather = gatherer({
    images,
    standingFor,
    usage,
    platforms,
    policies,
    jobs,
    repositories,
    suspicion,
    defaultLifeRules: defaultLifeRules(settings),
    isEvicted: cacheKeeper.isEvicted,
    clock,
  });
  const reconciler = new Reconciler({
    gather,
    writer: new ImageWriter({ images, writer, readUsage, log }),
    images,
    usage,
    synced,
    imageQueue,
    jobs,
    suspicion,
    onExpired: metrics.expired,
    recordEvent: objectEvents(events, imageRecords, 'Copy', metrics.imageEvent),
    notifyPods: new PodNotices({ pods, usage, events }).notify,
    log,
  });

  return {
    components: [
      ...(storeKeeper === undefined ? [] : [storeKeeper.component()]),
      cacheKeeper.component(),
      stopJobs(jobs, copier),
      reconciler.component(),
    ],
    sources: { images, usage, imageQueue, jobs, cacheKeeper },
  };
}
