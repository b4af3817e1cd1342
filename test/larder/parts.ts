/** The running parts of Larder on a test cluster, to be killed, frozen and sent away. */
import type { Cluster } from '../cluster/cluster.ts';
import { NAMESPACE, RELEASE } from './install.ts';

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
  const args = ['get', 'pods', '--namespace', NAMESPACE, '--selector', `app.kubernetes.io/component=${part}`];
  const { items } = await cluster.kubectlJson<{ items: PodView[] }>(args);
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

/** How many replicas a Deployment of Larder has; 0 sends it away. */
export async function scale(cluster: Cluster, part: Part, replicas: number): Promise<void> {
  await cluster.kubectl([
    'scale',
    `deployment/${RELEASE}-${part}`,
    '--namespace',
    NAMESPACE,
    `--replicas=${replicas}`,
  ]);
}

/** Waits until every pod of every part is Ready again. */
export async function settled(cluster: Cluster): Promise<void> {
  const selector = `app.kubernetes.io/instance=${RELEASE}`;
  const wait = ['wait', 'pods', '--namespace', NAMESPACE, '--selector', selector];
  await cluster.kubectl([...wait, '--for=condition=Ready', '--timeout=60s']);
}
