/** Removes the startup taint from a node once its proxy is ready, or the administrator's patience is over. */
import type { Clock } from '../../platform/clock.ts';
import type { ObjectCache } from '../../platform/kube/cache.ts';
import type { KubeClient } from '../../platform/kube/client.ts';
import { isConflict, isNotFound } from '../../platform/kube/error.ts';
import { nodes as nodeResource } from '../../platform/kube/resource.ts';
import { WorkQueue, type WorkResult } from '../../platform/kube/work-queue.ts';
import type { Logger } from '../../platform/log.ts';
import { type Component, loop } from '../../platform/run.ts';
import type { Writer } from '../cluster/fenced.ts';
import type { NodeRecord, PodRecord } from '../cluster/resources.ts';
import { startupTaintOff } from '../cluster/startup-taint.ts';

/** How soon to try again when somebody else changed the node meanwhile. */
const RETRY_MS = 200;

export interface StartupTaintOptions {
  readonly client: Pick<KubeClient, 'get'>;
  readonly writer: Writer;
  readonly nodes: ObjectCache<NodeRecord>;
  readonly pods: ObjectCache<PodRecord>;
  readonly proxyWorks: (node: string) => boolean;
  /** How long after its creation a node keeps the taint at most, in milliseconds. */
  readonly patienceMs: number;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Call it before the watches start. */
export function startupTaints(
  options: StartupTaintOptions,
  synced: (signal: AbortSignal) => Promise<void>,
): Component {
  const { nodes, pods, clock, log } = options;
  const worker = (name: string, signal: AbortSignal): Promise<WorkResult> => look(options, name, signal);
  const queue = new WorkQueue({ name: 'startup taints', concurrency: 4, log, clock });
  nodes.onChange(({ after }) => {
    if (after?.waitsSince !== undefined) queue.add(after.metadata.name ?? '');
  });
  pods.onChange(({ before, after }) => {
    const node = after?.proxy?.node;
    if (node !== undefined && before?.proxy === undefined) queue.add(node);
  });
  return loop('startup taints', async (signal) => {
    await synced(signal);
    await queue.run(worker, signal);
  });
}

async function look(
  { nodes, proxyWorks, patienceMs, clock, ...options }: StartupTaintOptions,
  name: string,
  signal: AbortSignal,
): Promise<WorkResult> {
  const since = nodes.get(name)?.waitsSince;
  if (since === undefined) return undefined;
  const proxyReady = proxyWorks(name);
  const leftMs = since + patienceMs - clock.now();
  if (!proxyReady && leftMs > 0) return { requeueAfterMs: leftMs };
  return await release(options, name, proxyReady, signal);
}

async function release(
  { client, writer, log }: Pick<StartupTaintOptions, 'client' | 'writer' | 'log'>,
  name: string,
  proxyReady: boolean,
  signal: AbortSignal,
): Promise<WorkResult> {
  try {
    const node = await client.get(nodeResource, { name }, { signal });
    await writer.patch(nodeResource, { name }, startupTaintOff(node), { signal });
  } catch (error) {
    if (isNotFound(error)) return undefined;
    if (isConflict(error)) return { requeueAfterMs: RETRY_MS };
    throw error;
  }
  if (proxyReady) log.info('startup taint removed', { node: name });
  else log.warn('startup taint removed although no proxy is ready', { node: name });
  return undefined;
}
