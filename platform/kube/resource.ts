/** Kubernetes resource types, and the objects of these types as they are in JSON. */
import type {
  EventsV1Event,
  V1ConfigMap,
  V1EndpointSlice,
  V1Lease,
  V1MutatingWebhookConfiguration,
  V1Namespace,
  V1Node,
  V1Pod,
  V1Secret,
} from '@kubernetes/client-node';

/** What every object has. Times are RFC 3339 text, as in JSON. */
export interface KubeObject {
  readonly apiVersion?: string;
  readonly kind?: string;
  readonly metadata?: ObjectMeta;
}

export interface ObjectMeta {
  readonly name?: string;
  readonly namespace?: string;
  readonly generateName?: string;
  readonly uid?: string;
  readonly resourceVersion?: string;
  readonly generation?: number;
  readonly creationTimestamp?: string;
  readonly deletionTimestamp?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly finalizers?: readonly string[];
  readonly ownerReferences?: readonly OwnerReference[];
}

export interface OwnerReference {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  readonly uid: string;
  readonly controller?: boolean;
  readonly blockOwnerDeletion?: boolean;
}

/**
 * A type of the client library as its objects are in JSON. The library has a `Date` where JSON has text,
 * because its serialiser converts every object; we use objects as they were parsed.
 */
type AsJson<T> = T extends Date
  ? string
  : T extends readonly (infer Item)[]
    ? readonly AsJson<Item>[]
    : T extends object
      ? { readonly [K in keyof T]: K extends 'metadata' ? ObjectMeta : AsJson<T[K]> }
      : T;

/** A resource type: where its objects are, and how to read one from parsed JSON. */
export interface Resource<T extends KubeObject> {
  /** Empty for the core group. */
  readonly group: string;
  readonly version: string;
  readonly kind: string;
  readonly plural: string;
  readonly namespaced: boolean;
  /**
   * Turns parsed JSON into an object, or into `undefined` when it cannot be read; it must not throw. This is
   * where objects of our own types are validated, and where large ones that are kept by the thousand are cut
   * down to the fields that are used.
   */
  readonly decode: (raw: unknown) => T | undefined;
}

/** Where an object is. */
export interface ObjectRef {
  readonly name: string;
  readonly namespace?: string;
}

export type ConfigMap = AsJson<V1ConfigMap>;
export type EndpointSlice = AsJson<V1EndpointSlice>;
export type Event = AsJson<EventsV1Event>;
export type Lease = AsJson<V1Lease>;
export type MutatingWebhookConfiguration = AsJson<V1MutatingWebhookConfiguration>;
export type Namespace = AsJson<V1Namespace>;
export type Node = AsJson<V1Node>;
export type Pod = AsJson<V1Pod>;
export type Secret = AsJson<V1Secret>;

/** A type of Kubernetes itself, whose objects need no validation. */
function builtin<T extends KubeObject>(
  apiVersion: string,
  kind: string,
  plural: string,
  namespaced = true,
): Resource<T> {
  const [version = '', group = ''] = apiVersion.split('/').reverse();
  return { group, version, kind, plural, namespaced, decode: (raw) => raw as T };
}

export const configMaps = builtin<ConfigMap>('v1', 'ConfigMap', 'configmaps');
export const daemonSets = builtin<KubeObject>('apps/v1', 'DaemonSet', 'daemonsets');
export const deployments = builtin<KubeObject>('apps/v1', 'Deployment', 'deployments');
export const replicaSets = builtin<KubeObject>('apps/v1', 'ReplicaSet', 'replicasets');
export const statefulSets = builtin<KubeObject>('apps/v1', 'StatefulSet', 'statefulsets');
export const endpointSlices = builtin<EndpointSlice>(
  'discovery.k8s.io/v1',
  'EndpointSlice',
  'endpointslices',
);
export const events = builtin<Event>('events.k8s.io/v1', 'Event', 'events');
export const leases = builtin<Lease>('coordination.k8s.io/v1', 'Lease', 'leases');
export const mutatingWebhookConfigurations = builtin<MutatingWebhookConfiguration>(
  'admissionregistration.k8s.io/v1',
  'MutatingWebhookConfiguration',
  'mutatingwebhookconfigurations',
  false,
);
export const namespaces = builtin<Namespace>('v1', 'Namespace', 'namespaces', false);
export const nodes = builtin<Node>('v1', 'Node', 'nodes', false);
export const pods = builtin<Pod>('v1', 'Pod', 'pods');
export const secrets = builtin<Secret>('v1', 'Secret', 'secrets');

/** `group/version`, or `v1` for the core group. */
export function apiVersionOf(resource: Resource<KubeObject>): string {
  return resource.group === '' ? resource.version : `${resource.group}/${resource.version}`;
}

/** The path of an object; of the collection when `ref` has no name. */
export function pathOf(
  resource: Resource<KubeObject>,
  ref: Partial<ObjectRef>,
  subresource?: string,
): string {
  const parts = [
    resource.group === '' ? 'api' : `apis/${resource.group}`,
    resource.version,
    ...(resource.namespaced && ref.namespace !== undefined
      ? ['namespaces', encodeURIComponent(ref.namespace)]
      : []),
    resource.plural,
    ...(ref.name === undefined ? [] : [encodeURIComponent(ref.name)]),
    ...(subresource === undefined ? [] : [subresource]),
  ];
  return `/${parts.join('/')}`;
}

/** The key in caches and queues: `namespace/name`, or the name alone for an object without namespace. */
export function keyOf(object: KubeObject): string {
  const { namespace, name = '' } = object.metadata ?? {};
  return namespace === undefined ? name : `${namespace}/${name}`;
}
