/** What has to happen before the objects of a release are deleted, so that the cluster works on without it. */
import { releaseNames } from '../../api/names.ts';
import { hideCapabilities } from '../../registry/core/cached-name.ts';
import type { Clock } from '../../platform/clock.ts';
import type { KubeClient } from '../../platform/kube/client.ts';
import { isConflict, isNotFound } from '../../platform/kube/error.ts';
import { type EventRecorder, subjectOf } from '../../platform/kube/events.ts';
import {
  configMaps,
  mutatingWebhookConfigurations,
  nodes,
  type Pod,
  pods as podResource,
} from '../../platform/kube/resource.ts';
import type { Logger } from '../../platform/log.ts';
import { releaseFinalizers } from './release-finalizers.ts';
import { patchImages } from '../rescue/patch-images.ts';
import { notesOf } from '../cluster/stuck-pod.ts';
import { cacheRecords } from '../cluster/resources.ts';
import { hasStartupTaint, startupTaintOff } from '../cluster/untaint.ts';
import { dependence, restoration } from './dependence.ts';
import { restartOwners } from './owners.ts';

const LOOK_AGAIN_MS = 500;
/** Pods that admission was just about to rewrite may appear for a moment after it is gone. */
const MAX_PASSES = 10;
const FIELD_MANAGER = 'larder-uninstall';

export interface UninstallOptions {
  readonly client: KubeClient;
  readonly namespace: string;
  readonly fullname: string;
  readonly proxyHost: string;
  readonly restartOwners: boolean;
  /** Whether nodes may have the startup taint. */
  readonly startupTaint: boolean;
  /** What the job calls itself in the lease. */
  readonly identity: string;
  readonly events: EventRecorder;
  readonly clock: Clock;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

/** @throws KubeError; running it again goes on where it stopped */
export async function prepareUninstall(options: UninstallOptions): Promise<void> {
  const { client, fullname, log } = options;
  const names = releaseNames(fullname);
  await unlessGone(() => client.delete(mutatingWebhookConfigurations, { name: names.webhookConfiguration }));
  log.info('no pod is rewritten any more');
  await restorePods(options);
  if (options.startupTaint) await freeNodes(options);
  const dependent = await podsThroughCache(options);
  const restarted = options.restartOwners
    ? await restartOwners(client, dependent, new Date(options.clock.now()))
    : [];
  await report(options, dependent, restarted);
  // Last, for the lease that it takes from the controller is held for seconds only.
  const lease = { namespace: options.namespace, name: names.leaderLease };
  const released = await releaseFinalizers({ ...options, lease });
  log.info('CachedImages let go', { released });
  // It says how a cache stands that nobody looks after any more.
  await unlessGone(() => client.delete(cacheRecords, { name: fullname }));
  await options.events.flush();
}

/** Gives every waiting container its original image, until there is none left. */
async function restorePods(options: UninstallOptions): Promise<void> {
  const { clock, signal } = options;
  for (let pass = 0; pass < MAX_PASSES; pass += 1) {
    let restored = 0;
    for (const pod of await podsThroughCache(options)) if (await restorePod(options, pod)) restored += 1;
    if (restored === 0) return;
    await clock.sleep(LOOK_AGAIN_MS, signal);
  }
}

async function restorePod({ client, events, log, proxyHost }: UninstallOptions, pod: Pod): Promise<boolean> {
  const changes = restoration(pod, proxyHost);
  if (changes.length === 0) return false;
  const { name = '', namespace = '', resourceVersion = '' } = pod.metadata ?? {};
  const patch = patchImages(resourceVersion, notesOf(pod), changes);
  try {
    await client.patch(podResource, { namespace, name }, patch);
  } catch (error) {
    if (isConflict(error)) return true;
    // One that cannot be changed must not keep the others from it; the list names it.
    log.warn('pod not restored', { pod: name, namespace, error });
    return false;
  }
  log.info('pod restored', { pod: name, namespace, images: changes.map(({ image }) => image) });
  for (const { container, image } of changes) {
    const note = `Container ${container.name} takes ${image} again: Larder is being uninstalled.`;
    const regarding = subjectOf(podResource, pod);
    events.record({ regarding, type: 'Normal', reason: 'OriginalImageRestored', action: 'Uninstall', note });
  }
  return true;
}

/** Takes the startup taint off: from now on no node waits for a proxy. */
async function freeNodes({ client, clock, log, signal }: UninstallOptions): Promise<void> {
  for (let pass = 0; pass < MAX_PASSES; pass += 1) {
    const { items } = await client.listAll(nodes);
    const waiting = items.filter(hasStartupTaint);
    if (waiting.length === 0) return;
    for (const node of waiting) {
      const { name = '' } = node.metadata ?? {};
      try {
        await client.patch(nodes, { name }, startupTaintOff(node));
        log.info('startup taint removed', { node: name });
      } catch (error) {
        // Changed or deleted meanwhile: the next pass tells.
        if (!isConflict(error) && !isNotFound(error)) throw error;
      }
    }
    await clock.sleep(LOOK_AGAIN_MS, signal);
  }
}

async function podsThroughCache({ client, proxyHost }: UninstallOptions): Promise<Pod[]> {
  const { items } = await client.listAll(podResource);
  return items.filter((pod) => Object.keys(dependence(pod, proxyHost)).length > 0);
}

/** What is left is told in the log and kept in a ConfigMap, for it concerns people after Larder has gone. */
async function report(
  { client, namespace, fullname, proxyHost, log }: UninstallOptions,
  dependent: readonly Pod[],
  restarted: readonly string[],
): Promise<void> {
  const lines = dependent.flatMap((pod) =>
    Object.entries(dependence(pod, proxyHost)).map(
      ([part, image]) =>
        `${pod.metadata?.namespace ?? ''}/${pod.metadata?.name ?? ''} ${part} ${hideCapabilities(image)}`,
    ),
  );
  log.info('uninstall prepared', { stillThroughCache: lines, restarted });
  const data = { 'still-through-cache': lines.join('\n'), restarted: restarted.join('\n') };
  const metadata = { name: `${fullname}-uninstalled`, namespace };
  const body = { metadata, data };
  const patch = { type: 'apply', body, fieldManager: FIELD_MANAGER, force: true } as const;
  await client.patch(configMaps, metadata, patch);
}

async function unlessGone(act: () => Promise<unknown>): Promise<void> {
  try {
    await act();
  } catch (error) {
    if (!isNotFound(error)) throw error;
  }
}
