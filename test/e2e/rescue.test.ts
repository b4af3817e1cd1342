/** Rescue and new nodes: pods that cannot get their image by one name get it by the other. */
import type { PushedImage } from '../cluster/cluster.ts';
import { NAMESPACE, RELEASE } from '../larder/install.ts';
import { keepProxyOff, toldAboutPod } from '../larder/parts.ts';
import { forget, preheat } from '../larder/preheat.ts';
import { sharedCluster } from '../larder/shared-cluster.ts';

const CACHED = 'rescue-cached';
const PLAIN = 'rescue-plain';
const LATE = 'rescue-late';
const DEADLINE = { deadlineMs: 60_000, intervalMs: 100 };

interface Status {
  readonly name: string;
  readonly ready: boolean;
  readonly restartCount: number;
  readonly containerID?: string;
  readonly state: { readonly waiting?: { readonly reason?: string } };
}

interface PodObject {
  readonly metadata: { readonly annotations?: Readonly<Record<string, string>> };
  readonly spec: {
    readonly nodeName?: string;
    readonly containers: readonly { readonly name: string; readonly image: string }[];
  };
  readonly status: { readonly phase: string; readonly containerStatuses?: readonly Status[] };
}

const cluster = sharedCluster();
const { link } = cluster.internet.site('plain');

async function push(name: string): Promise<PushedImage> {
  return await cluster.pushImage({ site: 'plain', repository: `rescue/${name}`, tag: '1' });
}

async function create(
  namespace: string,
  name: string,
  images: readonly string[],
  { node, labels = {} }: { readonly node?: string; readonly labels?: Readonly<Record<string, string>> } = {},
): Promise<void> {
  const containers = images.map((image, index) => ({ name: `c${index}`, image, imagePullPolicy: 'Always' }));
  await cluster.apply({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace, labels },
    spec: {
      terminationGracePeriodSeconds: 0,
      containers,
      ...(node === undefined ? {} : { nodeSelector: { 'kubernetes.io/hostname': node } }),
    },
  });
}

async function read(namespace: string, name: string): Promise<PodObject> {
  return await cluster.read<PodObject>('v1/pods', { namespace, name });
}

async function runs(namespace: string, name: string): Promise<PodObject> {
  return await cluster.waitFor(
    `${namespace}/${name} runs`,
    async () => {
      const pod = await read(namespace, name);
      const statuses = pod.status.containerStatuses ?? [];
      return statuses.length > 0 && statuses.every(({ ready }) => ready) ? pod : undefined;
    },
    DEADLINE,
  );
}

/** As administrators do who let nobody change the images of some workloads. */
const FROZEN_LABEL = 'frozen';
const frozenImages: readonly object[] = [
  {
    apiVersion: 'admissionregistration.k8s.io/v1',
    kind: 'ValidatingAdmissionPolicy',
    metadata: { name: CACHED },
    spec: {
      matchConstraints: {
        objectSelector: { matchExpressions: [{ key: FROZEN_LABEL, operator: 'Exists' }] },
        resourceRules: [
          { operations: ['UPDATE'], apiGroups: [''], apiVersions: ['v1'], resources: ['pods'] },
        ],
      },
      validations: [
        {
          expression:
            'object.spec.containers.all(c, oldObject.spec.containers.exists(o, o.image == c.image))',
          message: 'images are frozen here',
        },
      ],
    },
  },
  {
    apiVersion: 'admissionregistration.k8s.io/v1',
    kind: 'ValidatingAdmissionPolicyBinding',
    metadata: { name: CACHED },
    spec: { policyName: CACHED, validationActions: ['Deny'] },
  },
];

async function proxiesRolledOut(): Promise<void> {
  const proxies = [`daemonset/${RELEASE}-proxy`, '--namespace', NAMESPACE];
  await cluster.kubectl(['rollout', 'status', ...proxies, '--timeout=90s']);
}

beforeAll(async () => {
  const labelled = { 'larder.dev/cache': 'enabled' };
  const namespace = (name: string, labels = {}): object => ({
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name, labels },
  });
  await cluster.apply([namespace(CACHED, labelled), namespace(PLAIN), namespace(LATE), ...frozenImages]);
});

afterAll(async () => {
  await link.restore();
  await keepProxyOff(cluster, []);
  await forget(cluster, 'rescue');
  const policy = ['validatingadmissionpolicy', 'validatingadmissionpolicybinding'].join();
  await cluster.kubectl(['delete', policy, CACHED, '--ignore-not-found']);
  await cluster.kubectl(['delete', 'namespace', CACHED, PLAIN, LATE, '--wait=false']);
  await proxiesRolledOut();
}, 120_000);

it('an image that upstream no longer gives and the cache has: the cached one, for a pod from before its namespace asked', async () => {
  const [kept, gone] = [await push('kept'), await push('gone')];
  await preheat(cluster, 'rescue', [gone.reference]);
  const node = cluster.node(1).name;
  await create(LATE, 'web', [kept.reference], { node });
  await runs(LATE, 'web');
  await link.reject();
  // The first container has its image already; the second cannot get it.
  const containers = [
    { name: 'c0', image: kept.reference, imagePullPolicy: 'IfNotPresent' },
    { name: 'c1', image: gone.reference },
  ];
  await cluster.apply({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'half', namespace: LATE },
    spec: { terminationGracePeriodSeconds: 0, containers, nodeSelector: { 'kubernetes.io/hostname': node } },
  });
  const stuck = await cluster.waitFor(
    'one container runs and the other is stuck',
    async () => {
      const pod = await read(LATE, 'half');
      const [first, second] = [...(pod.status.containerStatuses ?? [])].sort((a, b) =>
        a.name < b.name ? -1 : 1,
      );
      return first?.ready === true && second?.state.waiting?.reason === 'ImagePullBackOff'
        ? first
        : undefined;
    },
    DEADLINE,
  );
  await cluster.kubectl(['label', 'namespace', LATE, 'larder.dev/cache=enabled']);
  const rescued = await runs(LATE, 'half');
  await link.restore();

  expect(rescued.spec.containers.map(({ image }) => image)).toEqual([
    kept.reference,
    `localhost:7439/${gone.reference.replace(/:(\d+)\//, '-$1/')}`,
  ]);
  // The other image, whose registry is away, may have been tried to copy meanwhile.
  const told = await toldAboutPod(cluster, LATE, 'half');
  expect(told.filter((reason) => reason !== 'CopyFailed')).toEqual(['CachedImageUsed']);
  const running = rescued.status.containerStatuses?.find(({ name }) => name === 'c0');
  expect(running).toMatchObject({ restartCount: 0, containerID: stuck.containerID });
}, 120_000);

it('new nodes: a pod that lands before the proxy starts within 15 s of the moment it could have without Larder', async () => {
  const [image, control] = [await push('fresh'), await push('control')];
  const node = cluster.node(2).name;
  await keepProxyOff(cluster, [node]);
  // The scheduler, not the pod, says that it goes to the second node: admission cannot know it.
  await cluster.kubectl(['cordon', cluster.node(1).name]);
  const timed = async (namespace: string, name: string, reference: string): Promise<number> => {
    const began = performance.now();
    await create(namespace, name, [reference]);
    await runs(namespace, name);
    return performance.now() - began;
  };
  const refused = async (): Promise<void> => {
    await create(CACHED, 'frozen', [image.reference], { labels: { [FROZEN_LABEL]: 'true' } });
    const told = async (): Promise<boolean> => (await toldAboutPod(cluster, CACHED, 'frozen')).length > 0;
    await cluster.waitFor('the pod that may not be changed is told so', told, DEADLINE);
  };
  try {
    const [withLarder, without] = await Promise.all([
      timed(CACHED, 'fresh', image.reference),
      timed(PLAIN, 'control', control.reference),
      refused(),
    ]);
    const pod = await read(CACHED, 'fresh');
    expect(pod.spec).toMatchObject({ nodeName: node, containers: [{ image: image.reference }] });
    expect(pod.metadata.annotations?.['larder.dev/rescued']).toContain('localhost:7439/');
    expect(await toldAboutPod(cluster, CACHED, 'fresh')).toEqual(['OriginalImageRestored']);
    expect(await toldAboutPod(cluster, CACHED, 'frozen')).toEqual(['RescueRefused']);
    expect((await read(CACHED, 'frozen')).spec.containers[0]?.image).toMatch(/^localhost:7439/);
    console.info(`ran after ${Math.round(withLarder)} ms, without Larder ${Math.round(without)} ms`);
    expect(withLarder - without).toBeLessThan(15_000);
  } finally {
    await cluster.kubectl(['uncordon', cluster.node(1).name]);
  }
}, 180_000);
