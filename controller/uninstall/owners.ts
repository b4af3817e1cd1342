/** Restarts the owners of pods that use the cache, as `kubectl rollout restart` does. */
import type { KubeClient } from '../../platform/kube/client.ts';
import { isNotFound } from '../../platform/kube/error.ts';
import {
  daemonSets,
  deployments,
  type KubeObject,
  type Pod,
  replicaSets,
  type Resource,
  statefulSets,
} from '../../platform/kube/resource.ts';

const RESTARTED_AT = 'kubectl.kubernetes.io/restartedAt';

const RESTARTABLE: Readonly<Record<string, Resource<KubeObject>>> = {
  Deployment: deployments,
  StatefulSet: statefulSets,
  DaemonSet: daemonSets,
};

interface Owner {
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
}

/**
 * Restarts every Deployment, StatefulSet and DaemonSet once. Pods of other owners, or of none, are left
 * alone.
 * @returns the owners that were restarted, as text for people
 * @throws KubeError
 */
export async function restartOwners(
  client: KubeClient,
  pods: readonly Pod[],
  now: Date,
): Promise<readonly string[]> {
  const owners = new Map<string, Owner>();
  for (const pod of pods) {
    const owner = await ownerOf(client, pod);
    if (owner !== undefined) owners.set(`${owner.kind} ${owner.namespace}/${owner.name}`, owner);
  }
  const metadata = { annotations: { [RESTARTED_AT]: now.toISOString() } };
  const body = { spec: { template: { metadata } } };
  for (const { kind, namespace, name } of owners.values()) {
    const resource = RESTARTABLE[kind];
    if (resource !== undefined) await client.patch(resource, { namespace, name }, { type: 'merge', body });
  }
  return [...owners.keys()];
}

async function ownerOf(client: KubeClient, pod: Pod): Promise<Owner | undefined> {
  const namespace = pod.metadata?.namespace ?? '';
  const direct = controllerOf(pod);
  const owner =
    direct?.kind === 'ReplicaSet' ? await ownerOfReplicaSet(client, namespace, direct.name) : direct;
  return owner !== undefined && owner.kind in RESTARTABLE
    ? { kind: owner.kind, namespace, name: owner.name }
    : undefined;
}

async function ownerOfReplicaSet(
  client: KubeClient,
  namespace: string,
  name: string,
): Promise<{ readonly kind: string; readonly name: string } | undefined> {
  try {
    return controllerOf(await client.get(replicaSets, { namespace, name }));
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
}

function controllerOf({
  metadata,
}: KubeObject): { readonly kind: string; readonly name: string } | undefined {
  return metadata?.ownerReferences?.find(({ controller }) => controller === true);
}
