/** Uninstall: the cluster works on without Larder, what still needs it is told, and it can come back. */
import { installLarder, NAMESPACE, RELEASE } from '../../larder/install.ts';
import { keepProxyOff, toldAboutPod } from '../../larder/parts.ts';
import { sharedCluster } from '../../larder/shared-cluster.ts';

const TEAM = 'leaving';
const MARK = 'larder-test/leaving';
const DEADLINE = { deadlineMs: 60_000, intervalMs: 200 };

interface PodObject {
  readonly spec: { readonly containers: readonly { readonly image: string }[] };
  readonly status: {
    readonly containerStatuses?: readonly {
      readonly ready: boolean;
      readonly restartCount: number;
      readonly state: { readonly waiting?: { readonly reason: string } };
    }[];
  };
}

const cluster = sharedCluster();
const node = cluster.node(1).name;
/** That the proxy is sent away from. */
const bare = cluster.node(2).name;

async function create(name: string, image: string, nodeSelector: object = {}): Promise<void> {
  const spec = { terminationGracePeriodSeconds: 0, nodeSelector, containers: [{ name: 'app', image }] };
  await cluster.apply({ apiVersion: 'v1', kind: 'Pod', metadata: { name, namespace: TEAM }, spec });
}

async function readPod(name: string): Promise<PodObject> {
  return await cluster.read<PodObject>('v1/pods', { namespace: TEAM, name });
}

async function read(name: string): Promise<{ image: string | undefined; ready: boolean; restarts: number }> {
  const pod = await readPod(name);
  const [status] = pod.status.containerStatuses ?? [];
  const image = pod.spec.containers[0]?.image;
  return { image, ready: status?.ready ?? false, restarts: status?.restartCount ?? 0 };
}

async function runs(name: string): Promise<void> {
  await cluster.waitFor(`${name} runs`, async () => (await read(name)).ready, DEADLINE);
}

/** Waits for the CachedImage of a new Pod: by then the controller has seen everything before it. */
async function controllerHasLooked(): Promise<void> {
  const image = 'registry.example.test/leaving/seen:1';
  await create('seen', image, { [MARK]: 'nowhere' });
  const look = async (): Promise<boolean> => {
    const columns = ['--no-headers', '--output=custom-columns=IMAGE:.spec.image'];
    return (await cluster.kubectl(['get', 'cachedimages', ...columns])).stdout.includes(image);
  };
  await cluster.waitFor('the controller to look', look, DEADLINE);
}

/** The pods of a Deployment, as `kubectl get pods` shows them. */
async function podsOf(deployment: string): Promise<{ image: string | undefined; ready: boolean }[]> {
  const where = { namespace: TEAM, selector: `app=${deployment}` };
  const { items } = await cluster.read<{ items: PodObject[] }>('v1/pods', where);
  return items.map(({ spec, status }) => ({
    image: spec.containers[0]?.image,
    ready: status.containerStatuses?.[0]?.ready ?? false,
  }));
}

/** Waits until the one pod of the Deployment that is left runs the image. */
async function deploymentRuns(deployment: string, image: string): Promise<void> {
  const look = async (): Promise<boolean> => {
    const [pod, ...others] = await podsOf(deployment);
    return pod !== undefined && others.length === 0 && pod.ready && pod.image === image;
  };
  await cluster.waitFor(`${deployment} runs ${image}`, look, DEADLINE);
}

async function deploy(name: string, image: string): Promise<void> {
  const matchLabels = { app: name };
  const spec = { terminationGracePeriodSeconds: 0, containers: [{ name: 'app', image }] };
  await cluster.apply({
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name, namespace: TEAM },
    spec: { selector: { matchLabels }, template: { metadata: { labels: matchLabels }, spec } },
  });
}

async function names(kind: string): Promise<string[]> {
  const { stdout } = await cluster.kubectl(['get', kind, '--output=name']);
  return stdout.split('\n').filter((line) => line !== '');
}

// A test before this one may have failed half-way.
beforeAll(
  () =>
    installLarder(cluster, { values: { uninstall: { restartOwners: true }, rescue: { enabled: false } } }),
  150_000,
);

afterAll(async () => {
  await cluster.kubectl(['label', 'node', node, `${MARK}-`]);
  await cluster.kubectl(['delete', 'namespace', TEAM, '--wait=false', '--ignore-not-found']);
});

it('uninstall leaves a working cluster, and a new install works', async () => {
  const image = await cluster.pushImage({ site: 'plain', repository: 'leaving/web', tag: '1' });
  const cached = `localhost:7439/${image.reference.replace(/:(\d+)\//, '-$1/')}`;
  const labels = { 'larder.dev/cache': 'enabled' };
  await cluster.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: TEAM, labels } });
  await create('running', image.reference);
  await create('waiting', image.reference, { [MARK]: 'here' });
  await deploy('owned', image.reference);
  await Promise.all([runs('running'), deploymentRuns('owned', cached)]);
  expect([(await read('running')).image, (await read('waiting')).image]).toEqual([cached, cached]);

  // Rescue is switched off: what cannot be pulled without a proxy stays as it is, and nothing reports it.
  const other = await cluster.pushImage({ site: 'plain', repository: 'leaving/stuck', tag: '1' });
  await keepProxyOff(cluster, [bare]);
  await create('stuck', other.reference, { 'kubernetes.io/hostname': bare });
  const waits = async (): Promise<boolean> =>
    (await readPod('stuck')).status.containerStatuses?.[0]?.state.waiting?.reason === 'ImagePullBackOff';
  await cluster.waitFor('the pod waits for its image', waits, DEADLINE);
  await controllerHasLooked();
  expect((await read('stuck')).image).toMatch(/^localhost:7439/);
  expect(await toldAboutPod(cluster, TEAM, 'stuck')).toEqual([]);

  const began = performance.now();
  await cluster.helm(['uninstall', RELEASE, '--namespace', NAMESPACE, '--wait', '--timeout', '150s']);
  console.info(`uninstalled in ${Math.round(performance.now() - began)} ms`);

  // Admission is gone, what waited has its original back, what runs was not touched and is listed.
  expect(await names('mutatingwebhookconfigurations')).toEqual([]);
  expect(await read('waiting')).toMatchObject({ image: image.reference });
  expect(await read('running')).toEqual({ image: cached, ready: true, restarts: 0 });
  const where = { namespace: NAMESPACE, name: `${RELEASE}-uninstalled` };
  const { data } = await cluster.read<{ data: Record<string, string> }>('v1/configmaps', where);
  expect(data['still-through-cache']?.split('\n')).toContain(`${TEAM}/running app ${cached}`);
  expect(data['still-through-cache']).not.toContain(`${TEAM}/waiting`);
  await cluster.kubectl(['label', 'node', node, `${MARK}=here`]);
  await create('afterwards', image.reference);
  // What has an owner was restarted, for the values ask for it: it does not need Larder any more.
  expect(data['restarted']).toContain(`Deployment ${TEAM}/owned`);
  const without = deploymentRuns('owned', image.reference);
  await Promise.all([runs('waiting'), runs('afterwards'), runs('stuck'), without]);
  expect((await read('stuck')).image).toBe(other.reference);
  expect(await toldAboutPod(cluster, TEAM, 'stuck')).toEqual(['OriginalImageRestored']);
  expect((await read('afterwards')).image).toBe(image.reference);

  // CRDs and what they hold stay, and can be deleted by hand.
  const [stays = ''] = await names('cachedimages');
  expect(stays).toMatch(/^cachedimage/);
  await cluster.kubectl(['delete', stays, '--timeout=10s']);

  await installLarder(cluster);
  await cluster.waitFor(
    'images are rewritten again',
    async () => {
      await cluster.kubectl(['delete', 'pod', 'again', '--namespace', TEAM, '--ignore-not-found']);
      await create('again', image.reference);
      return (await read('again')).image === cached;
    },
    DEADLINE,
  );
  await runs('again');
}, 300_000);
