/** The running parts of Larder on a test cluster, to be killed, frozen and removed. */
import type { Cluster } from '../cluster/cluster.ts';
import type { ClusterNode } from '../cluster/cluster-node.ts';
import { NAMESPACE, RELEASE } from './install.ts';
import { proxyFetch } from './proxy-fetch.ts';

export type Part = 'webhook' | 'proxy' | 'copier' | 'controller' | 'store';
type Signal = Parameters<ReturnType<Cluster['node']>['signalContainer']>[1];

interface PodView {
  readonly metadata: { readonly name: string; readonly deletionTimestamp?: string };
  readonly spec: { readonly nodeName?: string };
  readonly status: { readonly phase: string; readonly podIP?: string };
}

export interface PartPod {
  readonly name: string;
  readonly node: string;
  readonly address: string;
}

export async function podsOf(cluster: Cluster, part: Part): Promise<PartPod[]> {
  const where = { namespace: NAMESPACE, selector: `app.kubernetes.io/component=${part}` };
  const { items } = await cluster.read<{ items: PodView[] }>('v1/pods', where);
  return items
    .filter(({ metadata, status }) => status.phase === 'Running' && metadata.deletionTimestamp === undefined)
    .map(({ metadata, spec, status }) => ({
      name: metadata.name,
      node: spec.nodeName ?? '',
      address: status.podIP ?? '',
    }));
}

/** Signals the processes of pods; with `matching` only those whose command line contains it. */
export async function signalPods(
  cluster: Cluster,
  pods: readonly PartPod[],
  signal: Signal,
  matching?: string,
): Promise<void> {
  await Promise.all(
    pods.map(async ({ name, node }) => {
      const machine = cluster.nodes.find((candidate) => candidate.name === node);
      if (machine === undefined) throw new Error(`${name} runs on no node of the cluster`);
      const target = { namespace: NAMESPACE, pod: name, ...(matching === undefined ? {} : { matching }) };
      await machine.signalContainer(target, signal);
    }),
  );
}

/** Scales a Deployment of Larder. */
export async function scale(cluster: Cluster, part: Part, replicas: number): Promise<void> {
  await cluster.kubectl([
    'scale',
    `deployment/${RELEASE}-${part}`,
    '--namespace',
    NAMESPACE,
    `--replicas=${replicas}`,
  ]);
}

/** Removes the proxy from the named nodes, waits until it has gone, and lets it return to all others. */
export async function keepProxyOff(cluster: Cluster, nodes: readonly string[]): Promise<void> {
  const expression = { key: 'kubernetes.io/hostname', operator: 'NotIn', values: nodes };
  const terms = { nodeSelectorTerms: [{ matchExpressions: [expression] }] };
  const affinity =
    nodes.length === 0 ? null : { nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: terms } };
  const patch = JSON.stringify({ spec: { template: { spec: { affinity } } } });
  const proxies = ['daemonset', `${RELEASE}-proxy`, '--namespace', NAMESPACE];
  await cluster.kubectl(['patch', ...proxies, '--type=merge', '--patch', patch]);
  const gone = async (): Promise<boolean> => {
    const where = { namespace: NAMESPACE, selector: 'app.kubernetes.io/component=proxy' };
    const { items } = await cluster.read<{ items: PodView[] }>('v1/pods', where);
    return items.every(({ spec }) => !nodes.includes(spec.nodeName ?? ''));
  };
  const deadline = { deadlineMs: 60_000, intervalMs: 200 };
  if (nodes.length > 0) await cluster.waitFor(`no proxy on ${nodes.join()}`, gone, deadline);
}

/** Reasons of the Events that Larder recorded about a pod. */
export async function toldAboutPod(cluster: Cluster, namespace: string, pod: string): Promise<string[]> {
  interface EventView {
    readonly reason: string;
    readonly reportingController?: string;
    readonly regarding: { readonly name: string };
  }
  const { items } = await cluster.read<{ items: EventView[] }>('events.k8s.io/v1/events', { namespace });
  return items
    .filter(({ regarding, reportingController }) => {
      return regarding.name === pod && reportingController?.startsWith('larder.dev/');
    })
    .map(({ reason }) => reason);
}

/** Waits until every workload of Larder has exactly its pods, all Ready. */
export async function settled(cluster: Cluster): Promise<void> {
  const where = { namespace: NAMESPACE, selector: `app.kubernetes.io/instance=${RELEASE}` };
  const look = async (): Promise<boolean> => {
    const kinds = ['deployments', 'daemonsets', 'statefulsets'].map((kind) =>
      cluster.read<{ items: WorkloadView[] }>(`apps/v1/${kind}`, where),
    );
    const items = (await Promise.all(kinds)).flatMap((list) => list.items);
    const waiting = items.filter((workload) => !isSettled(workload)).map(({ metadata }) => metadata.name);
    if (waiting.length > 0) throw new Error(`not settled: ${waiting.join(', ')}`);
    return items.length > 0;
  };
  await cluster.waitFor('all parts of Larder are ready', look, { deadlineMs: 60_000, intervalMs: 300 });
}

/**
 * Waits until every node's proxy asks the copier for what is not cached; for a while after an outage it asks
 * upstream.
 */
export async function copierIsTrusted(cluster: Cluster, uncachedPath: () => string): Promise<void> {
  const fromUpstream = async (node: ClusterNode): Promise<number> => {
    const { body } = await proxyFetch(node, '/metrics', { port: 7440 });
    const counts = body
      .toString()
      .matchAll(/^larder_proxy_requests_total\{[^}]*origin="upstream"[^}]*\} (\d+)$/gm);
    return [...counts].reduce((sum, [, count]) => sum + Number(count), 0);
  };
  for (const node of cluster.nodes) {
    const look = async (): Promise<boolean> => {
      const before = await fromUpstream(node);
      await proxyFetch(node, uncachedPath());
      return (await fromUpstream(node)) === before;
    };
    await cluster.waitFor(`${node.name} asks the copier`, look, { deadlineMs: 60_000, intervalMs: 1_000 });
  }
}

interface WorkloadView {
  readonly metadata: { readonly name: string; readonly generation: number };
  readonly spec: { readonly replicas?: number };
  readonly status: {
    readonly observedGeneration?: number;
    readonly readyReplicas?: number;
    readonly numberReady?: number;
    readonly desiredNumberScheduled?: number;
  };
}

function isSettled({ metadata, spec, status }: WorkloadView): boolean {
  const wanted = status.desiredNumberScheduled ?? spec.replicas;
  const ready = status.numberReady ?? status.readyReplicas ?? 0;
  return status.observedGeneration === metadata.generation && ready === wanted;
}
