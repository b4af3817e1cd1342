/** Prepares the cluster to work without Larder, before the objects of the release are deleted. */
import { releaseNames } from '../../api/names.ts';
import { hideCapabilities } from '../../platform/redact.ts';
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
import { cacheRecords } from '../cluster/resources.ts';
import { hasStartupTaint, startupTaintOff } from '../cluster/startup-taint.ts';
import { notesOf } from '../cluster/stuck-pod.ts';
import { patchImages } from '../rescue/patch-images.ts';
import { dependence, restoration } from './dependence.ts';
import { restartOwners } from './owners.ts';
import { releaseFinalizers } from './release-finalizers.ts';

const LOOK_AGAIN_MS = 500;
/**
 * Pods that admission has just rewritten may still appear for a moment after its configuration is deleted.
 */
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
  /** The job's name in the lease. */
  readonly identity: string;
  readonly events: EventRecorder;
  readonly clock: Clock;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

/** @throws KubeError; run again, it continues where it stopped */
export async function prepareUninstall(options: UninstallOptions): Promise<void> {
  const { client, fullname, log } = options;
  const names = releaseNames(fullname);
  await unlessGone(() => client.delete(mutatingWebhookConfigurations, { name: names.webhookConfiguration }));
  log.info('no more pods are rewritten');
  await restorePods(options);
  if (options.startupTaint) await freeNodes(options);
  const dependent = await podsThroughCache(options);
  const restarted = options.restartOwners
    ? await restartOwners(client, dependent, new Date(options.clock.now()))
    : [];
  await report(options, dependent, restarted);
  // Last, because it holds the lease for a few seconds only.
  const lease = { namespace: options.namespace, name: names.leaderLease };
  const released = await releaseFinalizers({ ...options, lease });
  log.info('finalizers removed from CachedImages', { released });
  // Nobody keeps its status up to date any more.
  await unlessGone(() => client.delete(cacheRecords, { name: fullname }));
  await options.events.flush();
}

/** Gives all waiting containers their original images, until none is left. */
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
    // A pod that cannot be changed must not keep us from the others; the report lists it. The server repeats
    // what we asked for, so a capability may stand in its message.
    const message = hideCapabilities(String(error));
    log.warn('pod not restored', { pod: name, namespace, error: message });
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

/** Removes the startup taint from all nodes: no proxy will come to remove it. */
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
        // The node was changed or deleted meanwhile; the next pass looks again.
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

/**
 * Says in the log and in a ConfigMap which pods still use the cache: people need to know after Larder is
 * gone.
 */
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
