/** Rescue and the startup taint on a real API server, where kubelets and proxies are played. */
import { CAPABILITIES_LABEL, RESCUED_ANNOTATION } from '../../api/names.ts';
import {
  type Event,
  events,
  type KubeObject,
  nodes,
  type Pod,
  pods,
  type Resource,
} from '../../platform/kube/resource.ts';
import { waitFor } from '../cluster/wait.ts';
import { ControllerBench, RELEASE } from '../envtest/controller.ts';

const TEAM = 'team-a';
const CACHED = 'localhost:7439/docker.io/library/nginx:1.27';
const ORIGINAL = 'docker.io/library/nginx:1.27';
const PRIVATE_ORIGINAL = 'ghcr.io/acme/app:7';
const PRIVATE_VOID = `localhost:7439/team-a.tenant/${PRIVATE_ORIGINAL}`;
const PRIVATE_CAPABLE = `localhost:7439/team-a.tenant.${'0'.repeat(26)}/${PRIVATE_ORIGINAL}`;
const TAINT = 'larder.dev/proxy-not-ready';
const DEADLINE = { deadlineMs: 10_000 };

let bench: ControllerBench;

beforeAll(async () => {
  bench = await ControllerBench.start({
    LARDER_STARTUP_TAINT: 'true',
    LARDER_STARTUP_TAINT_PATIENCE: '4s',
  });
}, 300_000);

afterAll(() => bench.stop());

async function setStatus(name: string, namespace: string, status: object): Promise<void> {
  const options = { subresource: 'status' } as const;
  await bench.client.patch(pods, { name, namespace }, { type: 'merge', body: { status } }, options);
}

/** A pod, by default on a node without a proxy, whose kubelet could not get its image. */
async function makeStuckPod(
  name: string,
  { image = CACHED, node = 'node-1', message = 'connection refused', volumes = [] as readonly string[] } = {},
): Promise<void> {
  const spec = {
    nodeName: node,
    imagePullSecrets: [{ name: 'login' }],
    containers: [
      {
        name: 'main',
        image,
        volumeMounts: volumes.map((_, index) => ({ name: `v${index}`, mountPath: `/v${index}` })),
      },
    ],
    volumes: volumes.map((reference, index) => ({ name: `v${index}`, image: { reference } })),
  };
  await bench.client.create(pods, { metadata: { name, namespace: TEAM }, spec });
  const waiting = { reason: 'ErrImagePull', message };
  const containerStatuses = [
    { name: 'main', ready: false, restartCount: 0, image: CACHED, imageID: '', state: { waiting } },
  ];
  await setStatus(name, TEAM, { phase: 'Pending', containerStatuses });
}

async function imageOf(name: string): Promise<string | undefined> {
  const pod: Pod = await bench.client.get(pods, { name, namespace: TEAM });
  return pod.spec?.containers[0]?.image;
}

async function eventsAbout(name: string, reason: string): Promise<Event[]> {
  const { items } = await bench.client.list(events, { namespace: TEAM });
  return items.filter((event) => event.regarding?.name === name && event.reason === reason);
}

/** A ready proxy of the release, or of an older one that knew no capabilities. */
async function makeProxy(node: string, { old = false } = {}): Promise<void> {
  const labels = {
    'app.kubernetes.io/name': 'larder',
    'app.kubernetes.io/component': 'proxy',
    ...(old ? {} : { [CAPABILITIES_LABEL]: '1' }),
  };
  const name = `proxy-${node}`;
  const spec = { nodeName: node, containers: [{ name: 'proxy', image: 'larder' }] };
  await bench.client.create(pods, { metadata: { name, namespace: RELEASE, labels }, spec });
  await setStatus(name, RELEASE, { conditions: [{ type: 'Ready', status: 'True' }] });
}

describe('the startup taint', () => {
  const OTHERS = 'example.com/warming-up';

  async function makeNode(name: string): Promise<void> {
    const taints = [TAINT, OTHERS].map((key) => ({ key, effect: 'NoSchedule' }));
    await bench.client.create(nodes, { metadata: { name }, spec: { taints } });
  }

  async function taintsOf(name: string): Promise<string[]> {
    const { spec } = await bench.client.get(nodes, { name });
    return (spec?.taints ?? []).map(({ key }) => key).filter((key) => [TAINT, OTHERS].includes(key));
  }

  it('goes when the proxy of its node is ready, or when the administrator’s patience is over', async () => {
    await makeNode('with-proxy');
    await makeNode('without');
    await makeProxy('with-proxy');
    const freed = (name: string) => async () => (await taintsOf(name)).join() === OTHERS;
    await waitFor('the node with a proxy to lose its taint', freed('with-proxy'), DEADLINE);
    expect(await taintsOf('without')).toEqual([TAINT, OTHERS]);
    await waitFor('the other node to lose it too', freed('without'), DEADLINE);
  });
});

describe('a pod that waits for an image that goes through the cache', () => {
  it('gets the original where no proxy is ready', async () => {
    await makeStuckPod('helped');
    await waitFor('the original', async () => (await imageOf('helped')) === ORIGINAL, DEADLINE);
    const told = async (): Promise<boolean> =>
      (await eventsAbout('helped', 'OriginalImageRestored')).length === 1;
    await waitFor('an Event that says so', told, DEADLINE);
  });

  it('gets the original where only an old proxy is ready, which does not know its private name', async () => {
    await makeProxy('old', { old: true });
    await makeStuckPod('private', { image: PRIVATE_CAPABLE, node: 'old' });
    await waitFor('the original', async () => (await imageOf('private')) === PRIVATE_ORIGINAL, DEADLINE);
    const { metadata } = await bench.client.get(pods, { name: 'private', namespace: TEAM });
    expect(metadata?.annotations?.[RESCUED_ANNOTATION]).toBe(JSON.stringify({ main: PRIVATE_VOID }));
  });

  it('gets a new name where the proxies refuse the one it has, and keeps what its author asked for', async () => {
    await makeProxy('new');
    await makeStuckPod('void', { image: PRIVATE_VOID, node: 'new' });
    const renewed = /^localhost:7439\/team-a\.tenant\.[0-9a-v]{26}\/ghcr\.io\/acme\/app:7$/;
    const isRenewed = async (): Promise<boolean> => renewed.test((await imageOf('void')) ?? '');
    await waitFor('a new name', isRenewed, DEADLINE);
    const { metadata } = await bench.client.get(pods, { name: 'void', namespace: TEAM });
    expect(metadata?.annotations).toBeUndefined();
    const told = async (): Promise<boolean> => (await eventsAbout('void', 'CachedNameRenewed')).length === 1;
    await waitFor('an Event that says so', told, DEADLINE);
  });

  it('is told when the image of a volume has such a name, which nobody can change', async () => {
    await makeProxy('volumes');
    const message = `failed to pull and unpack image "${PRIVATE_VOID}": 403 Forbidden`;
    await makeStuckPod('volume', { node: 'volumes', message, volumes: [PRIVATE_VOID] });
    const told = (): Promise<Event[]> => eventsAbout('volume', 'CachedNameVoid');
    const [event] = await waitFor('an Event that says so', async () => (await told())[0] && told(), DEADLINE);
    expect(event).toMatchObject({ type: 'Warning' });
    expect(await imageOf('volume')).toBe(CACHED);
  });

  it('is told when a policy of the cluster forbids to change it, and is not tried again', async () => {
    await forbidChangesOf('forbidden');
    await makeStuckPod('forbidden');
    const told = (): Promise<Event[]> => eventsAbout('forbidden', 'RescueRefused');
    const [event] = await waitFor('an Event that says so', async () => (await told())[0] && told(), DEADLINE);
    expect(event).toMatchObject({ type: 'Warning', regarding: { kind: 'Pod', namespace: TEAM } });
    expect(event?.note).toContain('images are frozen here');
    // Whatever the kubelet says next, nothing more is tried.
    await setStatus('forbidden', TEAM, { message: 'again' });
    await makeStuckPod('after');
    await waitFor('another pod to be helped', async () => (await imageOf('after')) === ORIGINAL, DEADLINE);
    expect(await told()).toHaveLength(1);
    expect((await told())[0]?.series).toBeUndefined();
    expect(await imageOf('forbidden')).toBe(CACHED);
  });

  it('is left alone when rescue is switched off', async () => {
    await bench.leader?.stop();
    bench.lead({ LARDER_RESCUE: 'false' });
    await makeStuckPod('left-alone');
    // The new leader knows of this node, and with it of the pod, when it has freed it.
    await bench.client.create(nodes, {
      metadata: { name: 'marker' },
      spec: { taints: [{ key: TAINT, effect: 'NoSchedule' }] },
    });
    await makeProxy('marker');
    const marked = async (): Promise<boolean> =>
      !(await bench.client.get(nodes, { name: 'marker' })).spec?.taints?.some(({ key }) => key === TAINT);
    await waitFor('the new leader to work', marked, DEADLINE);
    expect(await imageOf('left-alone')).toBe(CACHED);
    expect(await eventsAbout('left-alone', 'OriginalImageRestored')).toEqual([]);
  });
});

/** As administrators do who let nobody change a running workload. */
async function forbidChangesOf(name: string): Promise<void> {
  const admission = (kind: string, plural: string): Resource<KubeObject> => ({
    group: 'admissionregistration.k8s.io',
    version: 'v1',
    kind,
    plural,
    namespaced: false,
    decode: (raw) => raw as KubeObject,
  });
  const metadata = { name: 'frozen' };
  await bench.client.create(admission('ValidatingAdmissionPolicy', 'validatingadmissionpolicies'), {
    metadata,
    spec: {
      failurePolicy: 'Fail',
      matchConstraints: {
        resourceRules: [
          { apiGroups: [''], apiVersions: ['v1'], operations: ['UPDATE'], resources: ['pods'] },
        ],
      },
      validations: [{ expression: `object.metadata.name != '${name}'`, message: 'images are frozen here' }],
    },
  } as KubeObject);
  await bench.client.create(
    admission('ValidatingAdmissionPolicyBinding', 'validatingadmissionpolicybindings'),
    {
      metadata,
      spec: { policyName: metadata.name, validationActions: ['Deny'] },
    } as KubeObject,
  );
  await bench.client.create(pods, {
    metadata: { name, namespace: TEAM },
    spec: { containers: [{ name: 'main', image: CACHED }] },
  });
  const body = { metadata: { labels: { probe: 'yes' } } };
  const denied = (): Promise<boolean> =>
    bench.client.patch(pods, { name, namespace: TEAM }, { type: 'merge', body: { ...body } }).then(
      () => false,
      () => true,
    );
  await waitFor('the policy to be in force', denied, { deadlineMs: 30_000 });
  await bench.client.delete(pods, { name, namespace: TEAM });
}
