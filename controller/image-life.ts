/** Composes what brings images into the cache, looks after them there, and lets them go. */
import { readFile } from 'node:fs/promises';
import type { EventRecorder } from '../platform/kube/events.ts';
import { WorkQueue } from '../platform/kube/work-queue.ts';
import { loop, type Component } from '../platform/run.ts';
import { CacheKeeper } from './store/cache-keeper.ts';
import { CopierClient } from './jobs/copier-client.ts';
import { Copies } from './jobs/copies.ts';
import { lifeRules } from './image/life-rules.ts';
import { errandRunners, stopping } from './jobs/task-runners.ts';
import type { Writer } from './cluster/fenced.ts';
import type { Sources } from './metrics.ts';
import { gatherer } from './image/gather.ts';
import { ImageWriter } from './image/writer.ts';
import { ownStoreKeeper } from './store/own-store.ts';
import { PodNotices } from './image/pod-notices.ts';
import { Reconciler } from './image/reconciler.ts';
import { Removals } from './jobs/removals.ts';
import { cacheRecords, imageRecords } from './cluster/resources.ts';
import { Suspicion } from './image/suspicion.ts';
import { tellerOf } from './cluster/object-events.ts';
import type { TermOptions } from './leader-options.ts';
import { Users } from './cluster/users.ts';
import { urgency, type Watches } from './cluster/watches.ts';

const PROGRESS_EVERY_MS = 2_000;
const RECONCILE_AT_ONCE = 16;

export interface ImageLifeParts extends TermOptions {
  readonly watches: Watches;
  readonly writer: Writer;
  readonly events: EventRecorder;
  /** Whom the copier's certificate has to be signed by, in PEM. */
  readonly ca: ConstructorParameters<typeof CopierClient>[0]['ca'];
}

export interface ImageLife {
  /** Something has changed that may concern the image of that name. */
  readonly touch: (name: string) => void;
  readonly components: readonly Component[];
  readonly sources: Sources;
}

export function imageLife(parts: ImageLifeParts): ImageLife {
  const { settings, client, clock, log, figures, watches, writer, events } = parts;
  const look = (name: string): void => {
    queue.add(name);
  };
  const copier = new CopierClient({
    url: settings.copierUrl,
    serverName: settings.copierServerName,
    ca: parts.ca,
    beforeOrder: parts.assertLeader,
    token: async () => (await readFile(settings.copierTokenFile, 'utf8')).trim(),
    silenceMs: settings.copySilence,
  });
  const copies: Copies = new Copies({
    copy: copier.copy,
    clock,
    log,
    limits: { total: settings.maxCopies, perUpstream: settings.maxCopiesPerUpstream },
    backoff: { baseMs: settings.retryBase, maxMs: settings.retryMax },
    progressEveryMs: PROGRESS_EVERY_MS,
    isBlocked: (repository) => removals.isRemoving(repository),
    onChange: look,
    onFailure: figures.copyFailed,
    onCopied: figures.copied,
  });
  const suspicion = new Suspicion(clock, () => {
    log.warn('the store has lost something, everything in it is verified');
    for (const { metadata } of watches.images.values()) look(metadata.name ?? '');
  });
  const storeKeeper = ownStoreKeeper(parts, () => {
    suspicion.raise();
  });
  const users = new Users(client, watches.wanting);
  const removals: Removals = new Removals({
    readUsers: users.read,
    remove: copier.remove,
    isCopying: (repository) => copies.isCopyingInto(repository),
    onRemoved: (bytes) => storeKeeper?.removed(bytes),
    onReleased: () => {
      copies.retry();
    },
  });
  const errands = errandRunners({ copier, removals, settings, figures, clock, log }, look);
  const cacheKeeper = new CacheKeeper({
    ...watches,
    name: settings.fullname,
    ...(storeKeeper === undefined ? {} : { store: storeKeeper }),
    ...(settings.maxSize === undefined ? {} : { limitBytes: settings.maxSize }),
    onEvict: look,
    writer,
    tell: tellerOf(events, cacheRecords, 'Keep'),
    clock,
    log,
  });
  const tellImage = tellerOf(events, imageRecords, 'Copy');
  const { isEvicted } = cacheKeeper;
  const reconciler = new Reconciler({
    gather: gatherer({
      ...watches,
      copies,
      errands,
      suspicion,
      rules: lifeRules(settings),
      isEvicted,
      clock,
    }),
    writer: new ImageWriter({ ...watches, writer, readUsers: users.read, log }),
    images: watches.images,
    copies,
    errands,
    suspicion,
    onExpired: figures.expired,
    tell: (image, event) => {
      figures.told(event.reason);
      tellImage(image, event);
    },
    tellPods: new PodNotices({
      ...watches,
      record: (event) => {
        events.record(event);
      },
    }).tell,
    log,
  });
  const queue = new WorkQueue({
    name: 'images',
    worker: reconciler.reconcile,
    concurrency: RECONCILE_AT_ONCE,
    log,
    clock,
  });
  const reconciling = loop('reconcile', async (running) => {
    await watches.synced(running);
    log.info('reconciling', { images: watches.images.size, inUse: [...watches.usage.names()].length });
    await queue.run(running);
  });
  return {
    touch: (name) => {
      queue.add(name, { priority: urgency(watches, name) });
    },
    components: [
      ...(storeKeeper === undefined ? [] : [storeKeeper.component()]),
      cacheKeeper.component(),
      stopping(copies, errands, copier),
      reconciling,
    ],
    sources: { ...watches, queue, copies, errands, cacheKeeper },
  };
}
