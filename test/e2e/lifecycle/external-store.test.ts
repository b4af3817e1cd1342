/** A registry that the user has takes the place of the store, by values: on a cluster of its own. */
import type { Cluster } from '../../cluster/cluster.ts';
import { startCluster } from '../../cluster/start.ts';
import { installLarder, NAMESPACE } from '../../larder/install.ts';

const READER = { username: 'larder', password: 'only-for-this-test' };

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
  const external = {
    url: `https://${house.registry}/project/cache`,
    readerSecret: 'house',
    writerSecret: 'house',
  };
  await installLarder(cluster, { values: { store: { external } } });
  const containers = [{ name: 'app', image: image.reference }];
  const metadata = { name: 'web', namespace: 'shop' };
  await cluster.apply({ apiVersion: 'v1', kind: 'Pod', metadata, spec: { containers } });
  await cluster.waitFor(
    'the image is Ready',
    async () => {
      const { items } = await cluster.kubectlJson<ImageList>(['get', 'cachedimages']);
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
