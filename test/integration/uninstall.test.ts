/** What happens before an uninstall, on a real API server and with no more rights than the chart gives. */
import { STARTUP_TAINT } from '../../api/names.ts';
import { cacheRecords } from '../../controller/cluster/resources.ts';
import { prepareUninstall } from '../../controller/uninstall/prepare.ts';
import { systemClock } from '../../platform/clock.ts';
import { KubeClient } from '../../platform/kube/client.ts';
import { EventRecorder } from '../../platform/kube/events.ts';
import {
  configMaps,
  daemonSets,
  deployments,
  type KubeObject,
  mutatingWebhookConfigurations,
  nodes,
  pods,
  replicaSets,
  type Resource,
  statefulSets,
} from '../../platform/kube/resource.ts';
import { silentLogger } from '../../platform/log.ts';
import { waitFor } from '../cluster/wait.ts';
import { ControllerBench, NAMES, RELEASE } from '../envtest/controller.ts';
import { render } from '../larder/render.ts';

const TEAM = 'team-a';
const CACHED = 'localhost:7439/docker.io/library/nginx:1.27';
const RESTARTED_AT = 'kubectl.kubernetes.io/restartedAt';

let bench: ControllerBench;

beforeAll(async () => {
  bench = await ControllerBench.start();
  const { client } = bench;
  const isMade = async (): Promise<boolean> => (await client.list(cacheRecords)).items.length > 0;
  await waitFor('the controller makes its ImageCache', isMade, { deadlineMs: 15_000 });
  await bench.leader?.stop();
  await grant('nobody', { uninstall: { restartOwners: true }, proxy: { startupTaint: { enabled: true } } });
}, 300_000);

afterAll(() => bench.stop());

/** Gives a user the rights that the chart gives the job. */
async function grant(user: 'nobody', values: object): Promise<void> {
  const subjects = [{ kind: 'User', name: user, apiGroup: 'rbac.authorization.k8s.io' }];
  for (const object of await render<KubeObject>(values, RELEASE)) {
    const { kind = '', metadata } = object;
    if (metadata?.name !== 'larder-uninstall' || !/Role/.test(kind)) continue;
    const resource: Resource<KubeObject> = {
      group: 'rbac.authorization.k8s.io',
      version: 'v1',
      kind,
      plural: `${kind.toLowerCase()}s`,
      namespaced: !kind.startsWith('Cluster'),
      decode: (raw) => raw as KubeObject,
    };
    await bench.client.create(
      resource,
      kind.endsWith('Binding') ? ({ ...object, subjects } as KubeObject) : object,
    );
  }
}

const template = {
  metadata: { labels: { app: 'web' } },
  spec: { containers: [{ name: 'main', image: 'nginx:1.27' }] },
};
const selector = { matchLabels: { app: 'web' } };

/** A workload, and a pod of it that runs through the cache. */
async function makeWorkload(resource: Resource<KubeObject>, name: string): Promise<void> {
  const serviceName = resource === statefulSets ? { serviceName: name } : {};
  const object = { metadata: { name, namespace: TEAM }, spec: { selector, template, ...serviceName } };
  let owner = await bench.client.create(resource, object);
  let kind = resource.kind;
  if (resource === deployments) {
    const ownerReferences = [reference(owner, kind)];
    const metadata = { name: `${name}-1`, namespace: TEAM, ownerReferences };
    owner = await bench.client.create(replicaSets, { metadata, spec: { selector, template } } as KubeObject);
    kind = replicaSets.kind;
  }
  await makeRunningPod(`${name}-pod`, [reference(owner, kind)]);
}

function reference({ metadata: { name = '', uid = '' } = {} }: KubeObject, kind: string) {
  return { apiVersion: 'apps/v1', kind, name, uid, controller: true };
}

async function makeRunningPod(
  name: string,
  ownerReferences: ReturnType<typeof reference>[] = [],
): Promise<void> {
  const spec = { containers: [{ name: 'main', image: CACHED }] };
  await bench.client.create(pods, { metadata: { name, namespace: TEAM, ownerReferences }, spec });
  await bench.runPod(name, 'sha256:0');
}

it('what owns pods that run through the cache is restarted if asked for, once each, the rest is listed, and no node waits for a proxy', async () => {
  await makeWorkload(deployments, 'web');
  await makeWorkload(statefulSets, 'database');
  await makeWorkload(daemonSets, 'agent');
  await makeRunningPod('alone');
  const uncached = { metadata: { name: 'uncached', namespace: TEAM }, spec: { selector, template } };
  await bench.client.create(deployments, uncached);

  const others = { key: 'example.com/warming-up', effect: 'NoSchedule' };
  const taints = [{ key: STARTUP_TAINT, effect: 'NoSchedule' }, others];
  await bench.client.create(nodes, { metadata: { name: 'new' }, spec: { taints } });
  expect((await bench.client.get(cacheRecords, { name: 'larder' })).metadata.name).toBe('larder');

  const client = new KubeClient(bench.connect('nobody'), 'larder-uninstall');
  await prepareUninstall({
    client,
    namespace: RELEASE,
    fullname: 'larder',
    proxyHost: 'localhost:7439',
    restartOwners: true,
    startupTaint: true,
    identity: 'job',
    events: new EventRecorder({
      client,
      log: silentLogger,
      controller: 'larder.dev/uninstall',
      instance: 'job',
    }),
    clock: systemClock,
    log: silentLogger,
    signal: new AbortController().signal,
  });

  const restarted = async (resource: Resource<KubeObject>, name: string): Promise<boolean> => {
    const { spec } = (await bench.client.get(resource, { name, namespace: TEAM })) as {
      spec?: { template: { metadata: { annotations?: Record<string, string> } } };
    };
    return spec?.template.metadata.annotations?.[RESTARTED_AT] !== undefined;
  };
  expect(await restarted(deployments, 'web')).toBe(true);
  expect(await restarted(statefulSets, 'database')).toBe(true);
  expect(await restarted(daemonSets, 'agent')).toBe(true);
  expect(await restarted(deployments, 'uncached')).toBe(false);
  const { data } = await bench.client.get(configMaps, { name: 'larder-uninstalled', namespace: RELEASE });
  expect(data?.['restarted']?.split('\n').sort()).toEqual([
    `DaemonSet ${TEAM}/agent`,
    `Deployment ${TEAM}/web`,
    `StatefulSet ${TEAM}/database`,
  ]);
  expect(data?.['still-through-cache']).toContain(`${TEAM}/alone main ${CACHED}`);
  const { spec: node } = await bench.client.get(nodes, { name: 'new' });
  expect(node?.taints?.map(({ key }) => key)).not.toContain(STARTUP_TAINT);
  expect(node?.taints).toContainEqual(others);
  const cache = bench.client.get(cacheRecords, { name: 'larder' });
  await expect(cache).rejects.toMatchObject({ status: 404 });
  const configuration = bench.client.get(mutatingWebhookConfigurations, { name: NAMES.webhookConfiguration });
  await expect(configuration).rejects.toMatchObject({ status: 404 });
}, 60_000);
