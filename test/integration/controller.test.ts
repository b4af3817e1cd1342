/** The controller against a real API server and a copier that answers as it is told. */
import { createServer } from 'node:https';
import type { Server } from 'node:https';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { AddressInfo } from 'node:net';
import { once } from 'node:events';
import { parseDocument } from 'yaml';
import { copyOrderSchema, parseMessage } from '../../api/copier-api.ts';
import type { CopyEventJson } from '../../api/copier-api.ts';
import type { CachedImage } from '../../api/cached-image.ts';
import { cachedImageName, releaseNames } from '../../api/names.ts';
import { config } from '../../controller/config.ts';
import { controllerFigures } from '../../controller/figures.ts';
import { imageRecords } from '../../controller/resources.ts';
import { lead } from '../../controller/term.ts';
import { systemClock } from '../../platform/clock.ts';
import { loadConfig } from '../../platform/config.ts';
import { KubeClient } from '../../platform/kube/client.ts';
import { findCondition } from '../../platform/kube/conditions.ts';
import {
  mutatingWebhookConfigurations,
  namespaces,
  nodes,
  pods,
  secrets,
} from '../../platform/kube/resource.ts';
import type { KubeObject, Resource } from '../../platform/kube/resource.ts';
import { silentLogger } from '../../platform/log.ts';
import { Metrics } from '../../platform/metrics.ts';
import { formatReference, parseReference } from '../../registry/core/reference.ts';
import { formatPlatform } from '../../registry/core/platform.ts';
import { waitFor } from '../cluster/wait.ts';
import { ApiServer } from '../envtest/api-server.ts';

const CRD = join(import.meta.dirname, '../../manifests/chart/larder/files/crds/larder.dev_cachedimages.yaml');
const DIGEST = `sha256:${'a'.repeat(64)}`;
const NAMES = releaseNames('larder');
const RELEASE = 'larder-system';

const definitions: Resource<KubeObject> = {
  group: 'apiextensions.k8s.io',
  version: 'v1',
  kind: 'CustomResourceDefinition',
  plural: 'customresourcedefinitions',
  namespaced: false,
  decode: (raw) => raw as KubeObject,
};

let api: ApiServer;
let client: KubeClient;
let copier: Server | undefined;
let term: { readonly stop: () => Promise<void> };
/** What the copier was ordered to do, and how it answers for an image. */
const orders: { image: string; tenant?: string; platforms: string[]; pullSecrets: string[] }[] = [];
const answers = new Map<string, CopyEventJson>();

beforeAll(async () => {
  api = await ApiServer.start();
  client = new KubeClient(api.connect(), 'test');
  await client.create(definitions, parseDocument(await readFile(CRD, 'utf8')).toJS() as KubeObject);
  for (const name of [RELEASE, 'team-b']) await client.create(namespaces, { metadata: { name } });
  await client.create(namespaces, {
    metadata: { name: 'team-a', labels: { 'larder.dev/cache': 'enabled' } },
  });
  await client.create(mutatingWebhookConfigurations, {
    metadata: { name: NAMES.webhookConfiguration },
    webhooks: [
      {
        name: 'pods.larder.dev',
        admissionReviewVersions: ['v1'],
        sideEffects: 'None',
        failurePolicy: 'Ignore',
        clientConfig: { service: { name: NAMES.webhook, namespace: RELEASE } },
        namespaceSelector: { matchLabels: { nothing: 'has-this' } },
      },
    ],
  });
  await makeNode('node-1', 'amd64');
  await waitFor('CachedImages to be served', () => client.list(imageRecords), { deadlineMs: 10_000 });
  term = await startTerm();
}, 300_000);

afterAll(async () => {
  await term.stop();
  copier?.closeAllConnections();
  copier?.close();
  await api.stop();
});

async function makeNode(name: string, architecture: string): Promise<void> {
  await client.create(nodes, { metadata: { name } });
  const body = { status: { nodeInfo: { operatingSystem: 'linux', architecture } } };
  await client.patch(nodes, { name }, { type: 'merge', body }, { subresource: 'status' });
}

/** A leader whose copier is ours, reached once the leader has made a certificate for it. */
async function startTerm(): Promise<typeof term> {
  const port = await freePort();
  const token = join(api.folder, 'token');
  await writeFile(token, 'token-of-the-controller');
  const settings = loadConfig(config, {
    LARDER_NAMESPACE: RELEASE,
    LARDER_FULLNAME: 'larder',
    LARDER_COPIER_URL: `https://127.0.0.1:${port}`,
    LARDER_COPIER_SERVER_NAME: `${NAMES.copier}.${RELEASE}.svc`,
    LARDER_COPIER_TOKEN_FILE: token,
    LARDER_PUBLIC_REPOSITORIES: 'docker.io/library/*',
    LARDER_COPY_RETRY_BASE: '200ms',
  });
  const stop = new AbortController();
  const done = lead(
    {
      settings,
      client: new KubeClient(api.connect(), 'larder-controller'),
      assertLeader: () => undefined,
      figures: controllerFigures(new Metrics('controller')),
      clock: systemClock,
      log: silentLogger,
    },
    stop.signal,
  );
  const pair = await waitFor(
    'the certificate of the copier',
    async () => (await client.get(secrets, { name: NAMES.copierTls, namespace: RELEASE })).data,
    { deadlineMs: 10_000 },
  );
  const decoded = (key: string): Buffer => Buffer.from(pair[key] ?? '', 'base64');
  copier = createServer({ cert: decoded('tls.crt'), key: decoded('tls.key') }, (request, response) => {
    void (async () => {
      let body = '';
      for await (const chunk of request) body += String(chunk);
      const { image, tenant, platforms, pullSecrets } = parseMessage(copyOrderSchema, JSON.parse(body));
      const name = formatReference(image);
      const order = { image: name, platforms: platforms.map(formatPlatform), pullSecrets };
      orders.push(tenant === undefined ? order : { ...order, tenant });
      const done: CopyEventJson = {
        type: 'done',
        digest: DIGEST,
        sizeBytes: 73_400_320,
        platforms: order.platforms,
      };
      response.writeHead(200).end(`${JSON.stringify(answers.get(name) ?? done)}\n`);
    })();
  });
  copier.listen(port, '127.0.0.1');
  await once(copier, 'listening');
  return {
    stop: async () => {
      stop.abort(new Error('the test is over'));
      await done;
    },
  };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

async function makePod(
  name: string,
  image: string,
  { namespace = 'team-a', pullSecrets = [] as string[] } = {},
): Promise<void> {
  await client.create(pods, {
    metadata: { name, namespace },
    spec: {
      containers: [{ name: 'main', image }],
      imagePullSecrets: pullSecrets.map((secret) => ({ name: secret })),
    },
  });
}

function becomes(name: string, what: string, holds: (image: CachedImage) => boolean): Promise<CachedImage> {
  let seen: CachedImage | undefined;
  return waitFor(
    `${name} to be ${what}`,
    async () => {
      seen = (await client.get(imageRecords, { name })).image;
      return holds(seen) && seen;
    },
    { deadlineMs: 10_000, dump: () => Promise.resolve(JSON.stringify(seen, undefined, 2)) },
  );
}

const readyBecause = (reason: string) => (image: CachedImage) =>
  findCondition(image.status?.conditions, 'Ready')?.reason === reason;

describe('a leader', () => {
  it('makes an image of what a pod uses, has it copied, and says so', async () => {
    await makePod('web', 'nginx:1.27', { pullSecrets: ['regcred'] });
    const name = cachedImageName(parseReference('nginx:1.27'));
    const image = await becomes(name, 'cached', readyBecause('Cached'));
    expect(image.spec).toEqual({ image: 'docker.io/library/nginx:1.27' });
    expect(image.status).toMatchObject({
      observedGeneration: 1,
      digest: DIGEST,
      size: '70 MiB',
      platforms: ['linux/amd64'],
      usedBy: { pods: 1, namespaces: ['team-a'] },
    });
    expect(findCondition(image.status?.conditions, 'UpstreamAvailable')?.status).toBe('True');
    expect(orders).toContainEqual({
      image: 'docker.io/library/nginx:1.27',
      platforms: ['linux/amd64'],
      pullSecrets: [],
    });
  });

  it('fetches a private image with the pull secrets of all its pods', async () => {
    await makePod('app-1', 'ghcr.io/acme/app:7', { pullSecrets: ['one'] });
    const name = cachedImageName(parseReference('ghcr.io/acme/app:7'), 'team-a');
    await becomes(name, 'cached', readyBecause('Cached'));
    await makePod('app-2', 'ghcr.io/acme/app:7', { pullSecrets: ['two'] });
    const image = await becomes(name, 'used twice', ({ status }) => status?.usedBy?.pods === 2);
    expect(image.spec.tenant).toBe('team-a');
    await becomes(name, 'fetched with both', ({ spec }) => spec.pullSecrets?.join() === 'one,two');
  });

  it('shows why upstream refuses, and tries again until it does not', async () => {
    const image = 'docker.io/acme/late:1';
    answers.set(image, { type: 'failed', reason: 'NotFound', message: 'the registry has no such image' });
    await makePod('late', image);
    const name = cachedImageName(parseReference(image));
    const failed = await becomes(name, 'refused', readyBecause('NotFound'));
    expect(findCondition(failed.status?.conditions, 'UpstreamAvailable')).toMatchObject({
      status: 'False',
      message: 'the registry has no such image',
    });
    answers.delete(image);
    await becomes(name, 'cached', readyBecause('Cached'));
  });

  it('leaves pods of other namespaces alone, until their namespace asks', async () => {
    await makePod('quiet', 'docker.io/acme/quiet:1', { namespace: 'team-b' });
    const name = cachedImageName(parseReference('docker.io/acme/quiet:1'));
    await makePod('marker', 'docker.io/acme/marker:1');
    await becomes(
      cachedImageName(parseReference('docker.io/acme/marker:1')),
      'cached',
      readyBecause('Cached'),
    );
    await expect(client.get(imageRecords, { name })).rejects.toMatchObject({ status: 404 });
    const body = { metadata: { labels: { 'larder.dev/cache': 'enabled' } } };
    await client.patch(namespaces, { name: 'team-b' }, { type: 'merge', body });
    await becomes(name, 'cached', readyBecause('Cached'));
  });

  it('copies what was made by hand, and forgets users that have gone', async () => {
    const record = { metadata: { name: 'by-hand' }, spec: { image: 'docker.io/acme/tool:2' } };
    await client.patch(
      imageRecords,
      { name: 'by-hand' },
      { type: 'apply', body: record, fieldManager: 'a-user' },
    );
    await becomes('by-hand', 'cached', readyBecause('Cached'));
    await makePod('tool', 'docker.io/acme/tool:2');
    await becomes('by-hand', 'used', ({ status }) => status?.usedBy?.pods === 1);
    await client.delete(pods, { name: 'tool', namespace: 'team-a' });
    const image = await becomes('by-hand', 'unused', ({ status }) => status?.usedBy?.pods === 0);
    expect(image.status?.lastUsedTime).toBeDefined();
    expect(readyBecause('Cached')(image)).toBe(true);
  });

  it('makes anew an image that is deleted while pods use it', async () => {
    const name = cachedImageName(parseReference('nginx:1.27'));
    const before = await client.get(imageRecords, { name });
    await client.delete(imageRecords, { name });
    const uid = before.image.metadata.uid;
    await becomes(name, 'back', (image) => image.metadata.uid !== uid && readyBecause('Cached')(image));
  });

  it('has what is missing copied when a node brings another platform', async () => {
    const name = cachedImageName(parseReference('nginx:1.27'));
    await makeNode('node-2', 'arm64');
    await becomes(
      name,
      'complete for both',
      ({ status }) => status?.platforms?.join() === 'linux/amd64,linux/arm64',
    );
  });

  it('keeps the caBundle of the webhook configuration', async () => {
    const bundle = async (): Promise<string | undefined> => {
      const { webhooks } = await client.get(mutatingWebhookConfigurations, {
        name: NAMES.webhookConfiguration,
      });
      return webhooks?.[0]?.clientConfig.caBundle;
    };
    const first = await waitFor('the caBundle', bundle, { deadlineMs: 5_000 });
    const body = [{ op: 'remove', path: '/webhooks/0/clientConfig/caBundle' }];
    await client.patch(
      mutatingWebhookConfigurations,
      { name: NAMES.webhookConfiguration },
      { type: 'json', body },
    );
    await waitFor('the caBundle to be back', async () => (await bundle()) === first, { deadlineMs: 5_000 });
  });
});
