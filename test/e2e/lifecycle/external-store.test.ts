/** What a site sets by values: a registry of its own as the store, an HTTP proxy, deadlines. */
import { join } from 'node:path';
import type { Cluster } from '../../cluster/cluster.ts';
import { startCluster } from '../../cluster/start.ts';
import { installLarder, NAMESPACE } from '../../larder/install.ts';
import { podsOf, scale } from '../../larder/parts.ts';
import { CACHED_IMAGES, forget, preheat } from '../../larder/preheat.ts';
import { proxyFetch } from '../../larder/proxy-fetch.ts';

const READER = { username: 'larder', password: 'only-for-this-test' };

const PROXY_PORT = 3128;
const PROXY_PROGRAM = join(import.meta.dirname, '../../larder/http-proxy.ts');
/** As a value; the chart's own is five times as long. */
const PAUSE_MS = 2_000;

let cluster: Cluster;

beforeAll(async () => {
  cluster = await startCluster({ nodes: 1, report: () => undefined });
}, 60_000);

afterAll(() => cluster.stop());

interface ImageList {
  items: { status?: { conditions?: { type: string; status: string }[] } }[];
}

it('keeps images below a path of an existing registry that asks for a login, over TLS, and serves them from there', async () => {
  const house = await cluster.internet.addRegistry({
    name: 'house',
    host: 'house.example.test',
    tls: true,
    credentials: READER,
  });
  const image = await cluster.pushImage({ site: 'example', repository: 'shop/web', tag: '1.0' });
  await cluster.apply([
    { apiVersion: 'v1', kind: 'Namespace', metadata: { name: NAMESPACE } },
    {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 'house', namespace: NAMESPACE },
      type: 'kubernetes.io/basic-auth',
      stringData: READER,
    },
    {
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: { name: 'shop', labels: { 'larder.dev/cache': 'enabled' } },
    },
  ]);
  const proxy = await cluster.internet.addSite({ name: 'proxy', port: PROXY_PORT }, () =>
    Promise.resolve([process.execPath, PROXY_PROGRAM, String(PROXY_PORT)]),
  );
  const url = `http://${proxy.record.address}:${PROXY_PORT}`;
  const extraEnv = [
    { name: 'HTTP_PROXY', value: url },
    { name: 'HTTPS_PROXY', value: url },
    { name: 'NO_PROXY', value: cluster.internet.site('plain').record.address },
  ];
  const external = {
    url: `https://${house.registry}/project/cache`,
    readerSecret: 'house',
    writerSecret: 'house',
  };
  const pull = { freshFor: '1s', upstreamPause: `${PAUSE_MS}ms` };
  await installLarder(cluster, {
    values: { store: { external }, copier: { extraEnv }, proxy: { extraEnv }, pull },
  });
  const containers = [{ name: 'app', image: image.reference }];
  const metadata = { name: 'web', namespace: 'shop' };
  await cluster.apply({ apiVersion: 'v1', kind: 'Pod', metadata, spec: { containers } });
  await cluster.waitFor(
    'the image is Ready',
    async () => {
      const { items } = await cluster.read<ImageList>(CACHED_IMAGES);
      return items[0]?.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True');
    },
    { deadlineMs: 60_000 },
  );
  const statefulSets = await cluster.kubectl([
    'get',
    'statefulsets',
    '--namespace',
    NAMESPACE,
    '--output=name',
  ]);
  expect(statefulSets.stdout).toBe('');

  await cluster.internet.site('example').link.blackHole();
  const mark = house.mark();
  const rewritten = `localhost:7439/${image.repository}:1.0`;
  await cluster.node(1).removeImage(rewritten);
  await cluster.node(1).pull(rewritten);
  const served = house.accessLog(mark).filter(({ method, status }) => method === 'GET' && status === 200);
  const blobs = served.map(({ path }) => path).filter((path) => path.includes('/blobs/'));
  expect(blobs).not.toEqual([]);
  expect(blobs.filter((path) => !path.startsWith('/v2/project/cache/'))).toEqual([]);
}, 180_000);

it('reaches registries through the proxy of the site, but for those that NO_PROXY names, and never the store', async () => {
  const plain = await cluster.pushImage({ site: 'plain', repository: 'shop/tool', tag: '1' });
  await preheat(cluster, 'direct', [plain.reference]);
  const client = cluster.internet.site('proxy').client();
  const reached = (await (await client.request('/reached')).body.json()) as string[];
  await client.close();
  expect(reached).toEqual(['registry.example.test:443']);
  await forget(cluster, 'direct');
}, 60_000);

it('notices a registry that has come back after as long as the values say', async () => {
  const { link, registry } = cluster.internet.site('plain');
  const [repository, tag] = ['shop/moving', '1'];
  const push = async (layer: number): Promise<string> =>
    (await cluster.pushImage({ site: 'plain', repository, tag, layers: [layer] })).digest;
  const path = `/v2/${registry.replace(':', '-')}/${repository}/manifests/${tag}`;
  const serves = async (): Promise<string | undefined> =>
    (await proxyFetch(cluster.node(1), path)).headers['docker-content-digest'];
  const before = await push(2_048);
  await preheat(cluster, 'moving', [`${registry}/${repository}:${tag}`]);
  const after = await push(4_096);
  await link.blackHole();
  // Asked in vain once, then left alone.
  expect([await serves(), await serves()]).toEqual([before, before]);
  await link.restore();
  const restored = performance.now();
  await cluster.waitFor('the tag that has moved', async () => (await serves()) === after, {
    deadlineMs: 4 * PAUSE_MS,
  });
  expect(performance.now() - restored).toBeLessThan(4 * PAUSE_MS);
  await forget(cluster, 'moving');
}, 60_000);

it('a node without a copier reaches public registries through the proxy of the site too', async () => {
  const name = 'late';
  const site = await cluster.internet.addRegistry({ name, host: 'late.example.test', tls: true });
  const image = await cluster.pushImage({ site: name, repository: 'shop/web', tag: '1.0' });
  await scale(cluster, 'copier', 0);
  const gone = async (): Promise<boolean> => (await podsOf(cluster, 'copier')).length === 0;
  await cluster.waitFor('no copier to be there', gone, { deadlineMs: 60_000, intervalMs: 300 });
  const path = `/v2/${site.registry}/shop/web/manifests/1.0`;
  const { status, headers } = await proxyFetch(cluster.node(1), path);
  expect([status, headers['docker-content-digest']]).toEqual([200, image.digest]);
  const client = cluster.internet.site('proxy').client();
  const reached = await (await client.request('/reached')).body.json();
  await client.close();
  expect(reached).toContain('late.example.test:443');
}, 120_000);
