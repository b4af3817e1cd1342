/** Teams on a test cluster: namespaces with pull secrets, and what becomes of the pods in them. */
import type { Cluster } from '../cluster/cluster.ts';

/** Entries of a pull secret, by the location that they are for. */
export type Auths = Readonly<
  Record<string, { readonly username?: string; readonly password?: string; readonly identitytoken?: string }>
>;

export interface PodRequest {
  readonly name: string;
  readonly namespace: string;
  readonly image: string;
  readonly pullSecrets?: readonly string[];
  readonly serviceAccount?: string;
  readonly node?: string;
}

/** How far a pod came: it runs, or its image is refused. */
export interface Outcome {
  readonly running: boolean;
  /** As the pod was admitted. */
  readonly image: string;
  /** Empty when it runs. */
  readonly message: string;
}

interface PodView {
  readonly spec: { readonly containers: readonly { readonly image: string }[] };
  readonly status: {
    readonly containerStatuses?: readonly {
      readonly ready: boolean;
      readonly state: { readonly waiting?: { readonly reason: string; readonly message?: string } };
    }[];
  };
}

const REFUSED = ['ErrImagePull', 'ImagePullBackOff'];

export function namespace(name: string, cached = true): object {
  const labels = cached ? { 'larder.dev/cache': 'enabled' } : {};
  return { apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels } };
}

export function pullSecret(
  name: string,
  where: string,
  auths: Auths,
  type: 'dockerconfigjson' | 'dockercfg' = 'dockerconfigjson',
): object {
  const value = JSON.stringify(type === 'dockercfg' ? auths : { auths });
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    type: `kubernetes.io/${type}`,
    metadata: { name, namespace: where },
    stringData: { [`.${type}`]: value },
  };
}

export function serviceAccount(name: string, where: string, pullSecrets: readonly string[]): object {
  return {
    apiVersion: 'v1',
    kind: 'ServiceAccount',
    metadata: { name, namespace: where },
    imagePullSecrets: pullSecrets.map((secret) => ({ name: secret })),
  };
}

export function pod(request: PodRequest): object {
  const { name, namespace: where, image, pullSecrets = [], serviceAccount: account, node } = request;
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: where },
    spec: {
      terminationGracePeriodSeconds: 0,
      containers: [{ name: 'app', image, imagePullPolicy: 'Always' }],
      ...(pullSecrets.length > 0
        ? { imagePullSecrets: pullSecrets.map((secret) => ({ name: secret })) }
        : {}),
      ...(account === undefined ? {} : { serviceAccountName: account }),
      ...(node === undefined ? {} : { nodeSelector: { 'kubernetes.io/hostname': node } }),
    },
  };
}

/** Makes namespaces, and waits until pods can be made in them. */
export async function makeNamespaces(cluster: Cluster, namespaces: readonly object[]): Promise<void> {
  await cluster.apply(namespaces);
  for (const { metadata } of namespaces as { metadata: { name: string } }[]) {
    const account = { namespace: metadata.name, name: 'default' };
    await cluster.waitFor(
      `${metadata.name} has its ServiceAccount`,
      () => cluster.read('v1/serviceaccounts', account),
      { deadlineMs: 20_000 },
    );
  }
}

export async function outcome(cluster: Cluster, where: string, name: string): Promise<Outcome> {
  const look = async (): Promise<Outcome | undefined> => {
    const { spec, status } = await cluster.read<PodView>('v1/pods', { namespace: where, name });
    const image = spec.containers[0]?.image ?? '';
    const [container] = status.containerStatuses ?? [];
    const waiting = container?.state.waiting;
    if (container?.ready === true) return { running: true, image, message: '' };
    if (REFUSED.includes(waiting?.reason ?? ''))
      return { running: false, image, message: waiting?.message ?? '' };
    return undefined;
  };
  return await cluster.waitFor(`${where}/${name} runs or is refused`, look, { deadlineMs: 60_000 });
}

/** Makes a pod and says how far it came. */
export async function start(cluster: Cluster, request: PodRequest): Promise<Outcome> {
  await cluster.apply(pod(request));
  return await outcome(cluster, request.namespace, request.name);
}
