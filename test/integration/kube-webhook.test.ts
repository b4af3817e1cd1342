/** The webhook as a real API server calls it. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { json } from 'node:stream/consumers';
import { request } from 'undici';
import { callerPath } from '../../api/admission-caller.ts';
import { httpServer } from '../../platform/http-server.ts';
import { KubeClient } from '../../platform/kube/client.ts';
import {
  configMaps,
  type KubeObject,
  type MutatingWebhookConfiguration,
  mutatingWebhookConfigurations,
  namespaces,
  type Pod,
  pods,
  type Resource,
} from '../../platform/kube/resource.ts';
import { silentLogger } from '../../platform/log.ts';
import { Metrics } from '../../platform/metrics.ts';
import type { Running } from '../../platform/run.ts';
import { createCa, issueServerCertificate } from '../../platform/x509.ts';
import { hideCapabilities } from '../../platform/redact.ts';
import { admissionMetrics } from '../../webhook/admission-metrics.ts';
import { ClusterView } from '../../webhook/cluster-view.ts';
import { webhookApp } from '../../webhook/server.ts';
import { waitFor } from '../cluster/wait.ts';
import { CLUSTER_STATE } from '../fakes/cluster-state.ts';
import { fixedTls } from '../fakes/tls.ts';
import { ApiServer } from '../envtest/api-server.ts';
import { render } from '../larder/render.ts';

const CACHED = 'team-a';
const PLAIN = 'team-b';
let api: ApiServer;
let client: KubeClient;
let webhook: Running;
let injector: Running;
/** How often the webhook was asked. */
let calls: () => Promise<number>;

beforeAll(async () => {
  api = await ApiServer.start();
  client = new KubeClient(api.connect(), 'larder-test');
  await client.create(namespaces, { metadata: { name: CACHED, labels: { 'larder.dev/cache': 'enabled' } } });
  await client.create(namespaces, { metadata: { name: PLAIN } });

  const now = Date.now();
  const ca = await createCa('larder', 2, now);
  const caBundle = Buffer.from(ca.cert).toString('base64');
  const pair = await issueServerCertificate(ca, ['127.0.0.1'], 1, now);
  const tls = await fixedTls(pair);
  const metrics = new Metrics('webhook');
  calls = async () => {
    const counter = await metrics.registry.getSingleMetric('larder_admission_reviews_total')?.get();
    return (counter?.values ?? []).reduce((sum, { value }) => sum + value, 0);
  };
  const handler = webhookApp({
    clusterState: () => ({ ...CLUSTER_STATE, hasProxy: (node) => node !== 'virtual' }),
    callerToken: () => CALLER_TOKEN,
    metrics: admissionMetrics(metrics, () => true),
    log: silentLogger,
  });
  const server = httpServer({ name: 'webhook', handler, addresses: [{ host: '127.0.0.1', port: 0 }], tls });
  webhook = await server.start(new AbortController().signal);
  const clientConfig = {
    url: `https://127.0.0.1:${server.bound[0]?.port}${callerPath(CALLER_TOKEN)}`,
    caBundle,
  };
  const configuration = await chartConfiguration();
  await client.create(mutatingWebhookConfigurations, {
    ...configuration,
    // Here a failure shall be seen, also one of an expression.
    webhooks: (configuration.webhooks ?? []).map((each) => ({
      ...each,
      clientConfig,
      failurePolicy: 'Fail',
    })),
  });
  await waitFor(
    'the webhook to be called',
    async () =>
      (await admit('probe', { containers: [{ name: 'app', image: 'nginx' }] })).metadata?.labels !==
      undefined,
    { deadlineMs: 20_000 },
  );
  const other = httpServer({
    name: 'injector',
    handler: injectSidecar,
    addresses: [{ host: '127.0.0.1', port: 0 }],
    tls,
  });
  injector = await other.start(new AbortController().signal);
  const rule = { operations: ['CREATE'], apiGroups: [''], apiVersions: ['v1'], resources: ['pods'] };
  await client.create(mutatingWebhookConfigurations, {
    // The API server calls configurations in the order of their names.
    metadata: { name: 'zz-injector' },
    webhooks: [
      {
        name: 'sidecar.injector.test',
        admissionReviewVersions: ['v1'],
        clientConfig: { url: `https://127.0.0.1:${other.bound[0]?.port}/`, caBundle },
        rules: [rule],
        objectSelector: { matchLabels: INJECT },
        failurePolicy: 'Fail',
        sideEffects: 'None',
      },
    ],
  });
}, 900_000); // the programs may have to be built first

afterAll(async () => {
  await injector.stop();
  await webhook.stop();
  await api.stop();
});

async function chartConfiguration(): Promise<MutatingWebhookConfiguration> {
  const found = (await render<KubeObject>()).find(({ kind }) => kind === 'MutatingWebhookConfiguration');
  if (!found) throw new Error('the chart has no MutatingWebhookConfiguration');
  return found;
}

/** Another webhook, which is called after ours, adds a container to pods with this label. */
const INJECT = { 'sidecar.test/inject': 'true' };

function injectSidecar(asked: IncomingMessage, answer: ServerResponse): void {
  void json(asked).then((body) => {
    const { uid } = (body as { request: { uid: string } }).request;
    const value = { name: 'sidecar', image: 'registry.example.com/mesh:1' };
    const patch = JSON.stringify([{ op: 'add', path: '/spec/containers/-', value }]);
    const response = { uid, allowed: true, patchType: 'JSONPatch', patch: btoa(patch) };
    answer.setHeader('content-type', 'application/json');
    answer.end(JSON.stringify({ apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', response }));
  });
}

type PodSpec = NonNullable<Pod['spec']>;
const CALLER_TOKEN = 'c'.repeat(48);
let serial = 0;

/** A pod as the API server stores it. */
function admit(name: string, spec: PodSpec, namespace = CACHED): Promise<Pod> {
  return client.create(pods, { metadata: { name: `${name}-${serial++}`, namespace }, spec });
}

it('images of every kind go through the cache, and the originals are kept', async () => {
  const pod = await admit('all', {
    imagePullSecrets: [{ name: 'regcred' }],
    initContainers: [{ name: 'init', image: 'busybox:1' }],
    containers: [{ name: 'app', image: 'ghcr.io/acme/app:7' }],
    volumes: [{ name: 'models', image: { reference: '10.77.0.9:5000/models:3' } }],
  });
  expect(JSON.parse(hideCapabilities(JSON.stringify(pod.spec)))).toMatchObject({
    initContainers: [{ image: 'localhost:7439/docker.io/library/busybox:1' }],
    containers: [{ image: 'localhost:7439/team-a.tenant/ghcr.io/acme/app:7' }],
    volumes: [{ image: { reference: 'localhost:7439/team-a.tenant/10.77.0.9-5000/models:3' } }],
  });
  expect(pod.metadata?.labels).toEqual({ 'larder.dev/rewritten': 'true' });
  expect(JSON.parse(pod.metadata?.annotations?.['larder.dev/original-images'] ?? '')).toEqual({
    init: 'busybox:1',
    app: 'ghcr.io/acme/app:7',
    'volume/models': '10.77.0.9:5000/models:3',
  });
});

it('a container that another webhook adds afterwards is rewritten too, and the first stays as it is', async () => {
  const before = await calls();
  const spec: PodSpec = { containers: [{ name: 'app', image: 'nginx:1.27' }] };
  const create = (): Promise<Pod> =>
    client.create(pods, {
      metadata: { name: `meshed-${serial++}`, namespace: CACHED, labels: INJECT },
      spec,
    });
  // Until the API server has seen the other webhook.
  const pod = await waitFor(
    'a container to be added',
    async () => {
      const made = await create();
      return made.spec?.containers.length === 2 ? made : undefined;
    },
    { deadlineMs: 20_000 },
  );
  expect(pod.spec?.containers.map(({ image }) => image)).toEqual([
    'localhost:7439/docker.io/library/nginx:1.27',
    'localhost:7439/registry.example.com/mesh:1',
  ]);
  expect(JSON.parse(pod.metadata?.annotations?.['larder.dev/original-images'] ?? '')).toEqual({
    app: 'nginx:1.27',
    sidecar: 'registry.example.com/mesh:1',
  });
  expect((await calls()) - before).toBeGreaterThanOrEqual(2);
});

it('nothing else of the pod differs from one that was not rewritten', async () => {
  const spec: PodSpec = {
    containers: [
      {
        name: 'app',
        image: 'nginx:1.27',
        env: [{ name: 'A~/B', value: '"ü"' }],
        resources: { limits: { memory: '64Mi' } },
        livenessProbe: { httpGet: { path: '/', port: 80 } },
      },
    ],
    tolerations: [{ key: 'x', operator: 'Exists' }],
    volumes: [{ name: 'tmp', emptyDir: {} }],
  };
  const [cached, plain] = [await admit('same', spec), await admit('same', spec, PLAIN)];
  const images = cached.spec?.containers.map((container) => ({ ...container, image: 'nginx:1.27' }));
  expect({ ...cached.spec, containers: images }).toEqual(plain.spec);
  expect(plain.metadata?.labels).toBeUndefined();
});

it('an ephemeral container is rewritten when it is added to a running pod', async () => {
  const pod = await admit('debugged', { containers: [{ name: 'app', image: 'nginx' }] });
  const ref = { name: pod.metadata?.name ?? '', namespace: CACHED };
  const add = (...containers: { name: string; image: string }[]) =>
    client.patch(
      pods,
      ref,
      { type: 'merge', body: { spec: { ephemeralContainers: containers } } },
      { subresource: 'ephemeralcontainers' },
    );
  const once = await add({ name: 'one', image: 'busybox:1' });
  expect(once.spec?.ephemeralContainers?.[0]?.image).toBe('localhost:7439/docker.io/library/busybox:1');
});

it('a pod with an image that is no reference is admitted as the API server itself would', async () => {
  const pod = await admit('odd', {
    containers: [
      { name: 'app', image: 'NOT/An:Image' },
      { name: 'ok', image: 'nginx' },
    ],
  });
  expect(pod.spec?.containers.map(({ image }) => image)).toEqual([
    'NOT/An:Image',
    'localhost:7439/docker.io/library/nginx:latest',
  ]);
});

it('an image that an update changes is rewritten, and an update of something else does not even ask', async () => {
  const pod = await admit('updated', { containers: [{ name: 'app', image: 'nginx:1' }] });
  const ref = { name: pod.metadata?.name ?? '', namespace: CACHED };
  const before = await calls();
  const change = (body: object) => client.patch(pods, ref, { type: 'merge', body });
  await change({ metadata: { labels: { app: 'web' } } });
  expect(await calls()).toBe(before);
  const body = [{ op: 'replace', path: '/spec/containers/0/image', value: 'nginx:2' }];
  const updated = await client.patch(pods, ref, { type: 'json', body });
  expect(updated.spec?.containers[0]?.image).toBe('localhost:7439/docker.io/library/nginx:2');
  expect(updated.metadata?.annotations?.['larder.dev/original-images']).toBe('{"app":"nginx:2"}');
  expect(updated.metadata?.labels?.['app']).toBe('web');
});

it('a pod that opted out does not even ask', async () => {
  const before = await calls();
  const spec = { containers: [{ name: 'app', image: 'nginx' }] };
  const metadata = { name: 'out', namespace: CACHED, labels: { 'larder.dev/cache': 'disabled' } };
  const out = await client.create(pods, { metadata, spec });
  expect(out.spec?.containers[0]?.image).toBe('nginx');
  expect(await calls()).toBe(before);
});

it('a pod for a node without a proxy is left alone', async () => {
  const spec = {
    nodeSelector: { 'kubernetes.io/os': 'windows' },
    containers: [{ name: 'app', image: 'nginx' }],
  };
  const pod = await admit('windows', spec);
  expect(pod.spec?.containers[0]?.image).toBe('nginx');
});

it('a mirror of a static pod is left as it is', async () => {
  const annotations = { 'kubernetes.io/config.mirror': 'hash' };
  const metadata = { name: 'static', namespace: CACHED, annotations };
  const spec = { nodeName: 'node-1', containers: [{ name: 'app', image: 'nginx' }] };
  const pod = await client.create(pods, { metadata, spec });
  expect(pod.spec?.containers[0]?.image).toBe('nginx');
  expect(pod.metadata).toMatchObject({ annotations });
});

it('a dry run shows the rewritten pod, warns of what was skipped, and stores nothing', async () => {
  const connection = api.connect();
  const url = `${api.url}/api/v1/namespaces/${CACHED}/pods?dryRun=All`;
  const pod = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'dry', annotations: { 'larder.dev/explain': 'true' } },
    spec: {
      containers: [
        { name: 'app', image: 'nginx' },
        { name: 'local', image: 'localhost:5000/x' },
      ],
    },
  };
  const answer = await request(url, {
    method: 'POST',
    dispatcher: await connection.dispatcher(),
    headers: { ...(await connection.headers()), 'content-type': 'application/json' },
    body: JSON.stringify(pod),
  });
  const stored = (await answer.body.json()) as Pod;
  expect(stored.spec?.containers[0]?.image).toBe('localhost:7439/docker.io/library/nginx:latest');
  expect(answer.headers['warning']).toMatch(/larder: local: image .*LocalImage/);
  await expect(client.get(pods, { name: 'dry', namespace: CACHED })).rejects.toMatchObject({ status: 404 });
});

it('the rights that the chart gives the webhook suffice to follow rules and proxies', async () => {
  const namespace = 'larder';
  await client.create(namespaces, { metadata: { name: namespace } });
  const objects = await render<KubeObject>();
  const ours = (kind: string, name: string) =>
    objects.find((object) => object.kind === kind && object.metadata?.name === name) ?? {};
  const rbac = (kind: string, plural: string): Resource<KubeObject> => ({
    ...{ group: 'rbac.authorization.k8s.io', version: 'v1', kind, plural, namespaced: true },
    decode: (raw) => raw as KubeObject,
  });
  await client.create(rbac('Role', 'roles'), ours('Role', 'larder-webhook'));
  const subjects = [{ kind: 'User', name: 'nobody', apiGroup: 'rbac.authorization.k8s.io' }];
  const binding = { ...ours('RoleBinding', 'larder-webhook'), subjects };
  await client.create(rbac('RoleBinding', 'rolebindings'), binding);
  await client.create(configMaps, ours('ConfigMap', 'larder-rules'));
  const opened: boolean[] = [];
  const view = new ClusterView({
    client: new KubeClient(api.connect('nobody'), 'larder-webhook'),
    namespace,
    rulesName: 'larder-rules',
    proxySelector: 'app.kubernetes.io/component=proxy',
    proxyAddress: 'localhost:7439',
    capabilityOf: () => undefined,
    log: silentLogger,
    onGate: ({ open }) => opened.push(open),
  });
  const { signal } = new AbortController();
  const running = await Promise.all(view.components.map((component) => component.start(signal)));
  try {
    await waitFor('rules and proxies to be known', () => Promise.resolve(view.missing() === undefined), {
      deadlineMs: 10_000,
    });
    expect(view.isGateOpen()).toBe(false);
    const metadata = { name: 'proxy-1', namespace, labels: { 'app.kubernetes.io/component': 'proxy' } };
    const containers = [{ name: 'proxy', image: 'larder' }];
    await client.create(pods, { metadata, spec: { nodeName: 'node-1', containers } });
    const ready = async (status: string): Promise<void> => {
      const body = { status: { conditions: [{ type: 'Ready', status }] } };
      const options = { subresource: 'status' } as const;
      await client.patch(pods, { name: 'proxy-1', namespace }, { type: 'merge', body }, options);
      await waitFor('the gate to follow', () => Promise.resolve(view.isGateOpen() === (status === 'True')), {
        deadlineMs: 10_000,
      });
    };
    await ready('True');
    expect(view.clusterState()?.hasProxy('node-1')).toBe(true);
    await ready('False');
    await ready('True');
    expect(opened).toEqual([true, false, true]);
  } finally {
    await Promise.all(running.map((part) => part.stop()));
  }
});
