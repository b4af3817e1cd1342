/** The Kubernetes objects of the story, and the parts of their status that it reads. */

export const SHOP = 'shop';
export const CONTROL = 'no-larder';

export interface PodView {
  readonly metadata: {
    readonly name: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  readonly spec: { readonly nodeName?: string; readonly containers: readonly { readonly image: string }[] };
  readonly status: {
    readonly phase?: string;
    readonly containerStatuses?: readonly {
      readonly ready: boolean;
      readonly state: { readonly waiting?: { readonly reason: string } };
    }[];
  };
}

export interface CachedImageView {
  readonly metadata: { readonly name: string };
  readonly spec: { readonly image: string };
  readonly status?: {
    readonly digest?: string;
    readonly conditions?: readonly {
      readonly type: string;
      readonly status: string;
      readonly reason: string;
    }[];
  };
}

export function namespace(name: string, labels: Record<string, string> = {}): object {
  return { apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels } };
}

function podSpec(node: string, image: string): object {
  return {
    nodeSelector: { 'kubernetes.io/hostname': node },
    // Nothing to wait for when it goes.
    terminationGracePeriodSeconds: 0,
    containers: [{ name: 'app', image, imagePullPolicy: 'Always' }],
  };
}

export function deployment(name: string, node: string, image: string): object {
  const labels = { app: name };
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name, namespace: SHOP },
    spec: {
      replicas: 1,
      selector: { matchLabels: labels },
      template: { metadata: { labels }, spec: podSpec(node, image) },
    },
  };
}

export function pod(name: string, where: { namespace: string; node: string }, image: string): object {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: where.namespace, labels: { app: name } },
    spec: podSpec(where.node, image),
  };
}

export function isRunning({ status }: PodView): boolean {
  const containers = status.containerStatuses ?? [];
  return status.phase === 'Running' && containers.length > 0 && containers.every(({ ready }) => ready);
}
