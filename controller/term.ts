/** A term of leadership: everything that only one replica may do, from taking the lease to losing it. */
import { readFile } from 'node:fs/promises';
import { releaseNames } from '../api/names.ts';
import { parseRules, RULES_KEY } from '../api/rules.ts';
import type { ConfigOf } from '../platform/config.ts';
import type { Clock } from '../platform/clock.ts';
import type { KubeClient } from '../platform/kube/client.ts';
import { ConfigMapValue } from '../platform/kube/config-map-value.ts';
import { EventRecorder, type EventToRecord } from '../platform/kube/events.ts';
import { WorkQueue } from '../platform/kube/work-queue.ts';
import type { Logger } from '../platform/log.ts';
import { loop, runGroup } from '../platform/run.ts';
import { CacheKeeper } from './cache/cache-keeper.ts';
import { TrustedBundle } from './bootstrap/ca-bundle.ts';
import { keepRelease } from './bootstrap/keep-release.ts';
import { kubeObjects } from './bootstrap/kube-objects.ts';
import { ensureRelease } from './bootstrap/release-objects.ts';
import type { config } from './config.ts';
import { CopierClient } from './copier-client.ts';
import { Copies } from './copies.ts';
import { errandRunners, lifeRules, stopping } from './errand-runners.ts';
import { fenced } from './fenced.ts';
import type { Figures } from './figures.ts';
import { PodNotices } from './pod-notices.ts';
import { Reconciler } from './reconciler.ts';
import { Removals } from './removals.ts';
import { policiesFromValues, readPolicies } from './policies-from-values.ts';
import { policyStatuses } from './policy-status.ts';
import { cacheRecords, imageRecords, policyRecords } from './resources.ts';
import { ownStoreKeeper } from './own-store.ts';
import { Rescuer } from './rescue/rescuer.ts';
import { startupTaints } from './startup-taint.ts';
import { Suspicion } from './suspicion.ts';
import { tellerOf } from './tellers.ts';
import { Users } from './users.ts';
import { urgency, watchCluster } from './watches.ts';

const PROGRESS_EVERY_MS = 2_000;
const RECONCILE_AT_ONCE = 16;

export interface TermOptions {
  readonly settings: ConfigOf<typeof config>;
  readonly client: KubeClient;
  /** Throws when the lease is not ours at this very moment. */
  readonly assertLeader: () => void;
  readonly figures: Figures;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Resolves when the signal is aborted and everything has stopped; rejects when a part of it fails. */
export async function lead(options: TermOptions, signal: AbortSignal): Promise<void> {
  const { settings, client, clock, log, figures } = options;
  const { namespace } = settings;
  const names = releaseNames(settings.fullname);
  const writer = fenced(client, options.assertLeader);

  const trusted = new TrustedBundle({
    client,
    writer,
    log,
    ...(settings.ownWebhookCertificate ? { name: names.webhookConfiguration } : {}),
  });
  const release = keepRelease(
    (ensuring) =>
      ensureRelease(
        kubeObjects(client, writer, namespace, ensuring),
        { ...settings, names, publish: (bundle) => trusted.publish(bundle, ensuring) },
        { now: clock.now(), settleMs: settings.caSettleTime },
      ),
    { clock, log, everyMs: settings.certificateCheck },
  );
  const copier = new CopierClient({
    url: settings.copierUrl,
    serverName: settings.copierServerName,
    ca: trusted.get,
    beforeOrder: options.assertLeader,
    token: async () => (await readFile(settings.copierTokenFile, 'utf8')).trim(),
    silenceMs: settings.copySilence,
  });
  const events = new EventRecorder({
    client,
    log,
    clock,
    controller: 'larder.dev/controller',
    instance: settings.identity,
  });
  const record = (event: EventToRecord): void => {
    events.record(event);
  };
  const copies: Copies = new Copies({
    copy: copier.copy,
    clock,
    log,
    limits: { total: settings.maxCopies, perUpstream: settings.maxCopiesPerUpstream },
    backoff: { baseMs: settings.retryBase, maxMs: settings.retryMax },
    progressEveryMs: PROGRESS_EVERY_MS,
    isBlocked: (repository) => removals.isRemoving(repository),
    onChange: (name) => {
      queue.add(name);
    },
    onFailure: figures.copyFailed,
    onCopied: figures.copied,
  });
  const { proxyHost } = settings;
  const rules = new ConfigMapValue({
    client,
    name: names.rules,
    namespace,
    key: RULES_KEY,
    parse: parseRules,
    log,
  });
  const watches = watchCluster({ client, namespace, proxyHost, rules, log }, (name) => {
    queue.add(name, { priority: urgency(watches, name) });
  });
  const users = new Users(client, watches.wanting);
  const removals: Removals = new Removals({
    readUsers: users.read,
    remove: copier.remove,
    isCopying: (repository) => copies.isCopyingInto(repository),
    onRemoved: (bytes) => keeper?.removed(bytes),
    onReleased: () => {
      copies.retry();
    },
  });
  const errands = errandRunners({ copier, removals, settings, figures, clock, log }, (name) => {
    queue.add(name);
  });
  const suspicion = new Suspicion(clock, () => {
    log.warn('the store has lost something, everything in it is verified');
    for (const { metadata } of watches.images.values()) queue.add(metadata.name ?? '');
  });
  const keeper = ownStoreKeeper(options, () => {
    suspicion.raise();
  });
  const rescue = settings.rescue
    ? [
        new Rescuer({
          ...watches,
          writer,
          record,
          onRescue: figures.rescued,
          proxyHost,
          patienceMs: settings.rescuePatience,
          clock,
          log,
        }).component(watches.synced),
      ]
    : [];
  const taints = settings.startupTaint
    ? [
        startupTaints(
          { ...watches, client, writer, patienceMs: settings.startupTaintPatience, clock, log },
          watches.synced,
        ),
      ]
    : [];
  const tellImage = tellerOf(events, imageRecords, 'Copy');
  const reconciler = new Reconciler({
    ...watches,
    copies,
    errands,
    suspicion,
    rules: lifeRules(settings),
    readUsers: users.read,
    writer,
    isEvicted: (name) => cacheKeeper.isEvicted(name),
    onExpired: figures.expired,
    tell: (image, event) => {
      figures.told(event.reason);
      tellImage(image, event);
    },
    tellPods: new PodNotices({ ...watches, record }).tell,
    clock,
    log,
  });
  const cacheKeeper: CacheKeeper = new CacheKeeper({
    ...watches,
    name: settings.fullname,
    ...(keeper === undefined ? {} : { store: keeper }),
    ...(settings.maxSize === undefined ? {} : { limitBytes: settings.maxSize }),
    onEvict: (name) => {
      queue.add(name);
    },
    writer,
    tell: tellerOf(events, cacheRecords, 'Keep'),
    clock,
    log,
  });
  const policiesInValues = await readPolicies(settings.policiesFile, log);
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
  figures.follow({ ...watches, queue, copies, errands, cacheKeeper });
  try {
    await runGroup(
      [
        release,
        ...trusted.components(),
        events.component(),
        ...watches.components,
        policiesInValues.component('policies file'),
        policiesFromValues({ values: policiesInValues, client, writer, clock, log }),
        policyStatuses({
          ...watches,
          writer,
          tell: tellerOf(events, policyRecords, 'Match'),
          clock,
          log,
        }),
        ...(keeper === undefined ? [] : [keeper.component()]),
        cacheKeeper.component(),
        stopping(copies, errands, copier),
        reconciling,
        ...rescue,
        ...taints,
      ],
      { signal, log },
    );
  } finally {
    figures.follow(undefined);
  }
}
