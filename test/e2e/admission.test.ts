/** Admission while the cluster changes under it: rules, nodes without a proxy, and the health gate. */
import { DryAdmission } from '../larder/dry-admission.ts';
import { NAMESPACE, RELEASE } from '../larder/install.ts';
import { podsOf, settled, signalPods } from '../larder/parts.ts';
import { sharedCluster } from '../larder/shared-cluster.ts';

const SPACE = 'admission';
const here = ['--namespace', NAMESPACE];

const cluster = sharedCluster();
let admission: DryAdmission;

async function becomes(what: string, condition: () => Promise<boolean>): Promise<void> {
  await cluster.waitFor(what, condition, { deadlineMs: 60_000, intervalMs: 250 });
}

async function rules(): Promise<object> {
  const where = { namespace: NAMESPACE, name: `${RELEASE}-rules` };
  const { data } = await cluster.read<{ data: Record<string, string> }>('v1/configmaps', where);
  return JSON.parse(data['rules.json'] ?? '') as object;
}

/** As `helm upgrade` with other values would. */
async function writeRules(value: object): Promise<void> {
  const patch = JSON.stringify({ data: { 'rules.json': JSON.stringify(value) } });
  await cluster.kubectl([
    'patch',
    'configmap',
    `${RELEASE}-rules`,
    ...here,
    '--type=merge',
    '--patch',
    patch,
  ]);
}

beforeAll(async () => {
  const labels = { 'larder.dev/cache': 'enabled' };
  await cluster.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: SPACE, labels } });
  admission = new DryAdmission(cluster, SPACE);
  await becomes('pods to be rewritten', () => admission.rewrites());
}, 120_000);

afterAll(async () => {
  await admission.close();
  await cluster.kubectl(['delete', 'namespace', SPACE, '--wait=false']);
});

it('rules hold for the next pod without a restart, and the administrator wins', async () => {
  const former = await rules();
  await writeRules({ ...former, exclude: { images: ['ghcr.io/huge/*'], namespaces: ['kube-system'] } });
  try {
    const huge = 'ghcr.io/huge/model:1';
    await becomes('the excluded image to be left alone', async () => !(await admission.rewrites(huge)));
    expect(await admission.rewrites()).toBe(true);
  } finally {
    await writeRules(former);
  }
  await becomes('it to be rewritten again', () => admission.rewrites('ghcr.io/huge/model:1'));
}, 60_000);

it.each([
  ['made for Windows', { os: { name: 'windows' } }],
  ['selecting virtual nodes', { nodeSelector: { type: 'virtual-kubelet' } }],
  ['bound to a node that has none', { nodeName: 'virtual-1' }],
])('pods for nodes without a proxy, %s, are left alone', async (_, spec) => {
  expect(await admission.rewrites('ghcr.io/acme/app:1', spec)).toBe(false);
});

describe('the health gate', () => {
  /** What each replica of the webhook says of its gate. */
  async function gates(): Promise<string[]> {
    const replicas = await podsOf(cluster, 'webhook');
    return await Promise.all(
      replicas.map(async ({ name }) => {
        const path = `/api/v1/namespaces/${NAMESPACE}/pods/${name}:8080/proxy/metrics`;
        return /^larder_admission_gate_open\{[^}]*\} (\d)$/m.exec(await cluster.api.raw(path))?.[1] ?? '';
      }),
    );
  }

  interface EventList {
    readonly items: readonly {
      readonly eventTime: string;
      readonly series?: { readonly lastObservedTime: string };
    }[];
  }

  async function toldSince(reason: string, since: Date): Promise<boolean> {
    const where = { namespace: NAMESPACE, fields: `reason=${reason}` };
    const { items } = await cluster.read<EventList>('events.k8s.io/v1/events', where);
    return items.some(({ eventTime, series }) => new Date(series?.lastObservedTime ?? eventTime) > since);
  }

  it('closes while images cannot be read through the proxies, says so, and opens again by itself', async () => {
    const store = await podsOf(cluster, 'store');
    const seconds = (since: number): string => ((performance.now() - since) / 1_000).toFixed(1);
    const image = 'ghcr.io/acme/app:1';
    const [began, broken] = [new Date(), performance.now()];
    // Its supervisor too, which would replace the registries.
    await signalPods(cluster, store, 'STOP');
    try {
      await becomes('both gates to be closed', async () => (await gates()).join() === '0,0');
      console.info(`the gate closed after ${seconds(broken)} s`);
      expect((await admission.admit(image)).image).toBe(image);
      await becomes('an Event to say so', () => toldSince('GateClosed', began));
    } finally {
      await signalPods(cluster, store, 'CONT');
    }
    const mended = performance.now();
    await becomes('both gates to be open', async () => (await gates()).join() === '1,1');
    console.info(`the gate opened after ${seconds(mended)} s`);
    expect(await admission.rewrites(image)).toBe(true);
    await becomes('an Event to say so', () => toldSince('GateOpen', began));
    await settled(cluster);
  }, 150_000);
});
