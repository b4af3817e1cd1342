/** Bad input gets a clear error of the right kind, on the real cluster; nothing of it is stored. */
import { sharedCluster } from '../larder/shared-cluster.ts';
import { proxyFetch } from '../larder/proxy-fetch.ts';

const NAMESPACE = 'bad-input';
const cluster = sharedCluster();

function manifestOf(name: string, image: string): string {
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: NAMESPACE },
    spec: { containers: [{ name: 'app', image }] },
  });
}

beforeAll(async () => {
  await cluster.apply({
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name: NAMESPACE, labels: { 'larder.dev/cache': 'enabled' } },
  });
}, 30_000);

afterAll(async () => {
  await cluster.kubectl(['delete', 'namespace', NAMESPACE, '--wait=false']);
});

describe('an image that cannot be parsed', () => {
  it('leaves the pod as it was and warns the user', async () => {
    const image = 'registry.example.test/UPPER/Case:1';
    const create = ['create', '--dry-run=server', '--output=json', '-f', '-'];
    const { stdout, stderr } = await cluster.kubectl(create, { stdin: manifestOf('unparsable', image) });
    const pod = JSON.parse(stdout) as { spec: { containers: { image: string }[] } };
    expect(pod.spec.containers[0]?.image).toBe(image);
    expect(stderr).toMatch(/Warning: .*UPPER\/Case/);
  });
});

describe('requests to the proxy that are no pulls', () => {
  const digest = `sha256:${'0'.repeat(64)}`;
  it.each([
    [
      'a digest of an unknown algorithm',
      `/v2/docker.io/library/a/blobs/md5:${'0'.repeat(32)}`,
      400,
      'DIGEST_INVALID',
    ],
    ['a digest that is too short', '/v2/docker.io/library/a/manifests/sha256:abc', 400, 'DIGEST_INVALID'],
    ['a name outside the grammar', `/v2/docker.io/Library/A/blobs/${digest}`, 400, 'NAME_INVALID'],
    ['a path that is not the distribution API', '/v3/docker.io/library/a', 404, 'UNSUPPORTED'],
    ['an encoded slash', `/v2/docker.io%2Flibrary/a/blobs/${digest}`, 400, 'NAME_INVALID'],
  ])('%s', async (_what, path, status, code) => {
    const answer = await proxyFetch(cluster.node(1), path);
    const body = JSON.parse(answer.body.toString()) as { errors: { code: string; message: string }[] };
    expect({ status: answer.status, code: body.errors[0]?.code }).toEqual({ status, code });
    expect(body.errors[0]?.message).toMatch(/\w+ \w+/);
  });

  it.each(['PUT', 'POST', 'PATCH', 'DELETE'])('%s is refused', async (method) => {
    const answer = await proxyFetch(cluster.node(1), `/v2/docker.io/library/a/blobs/${digest}`, { method });
    expect(answer.status).toBe(405);
  });

  it('answers on the IPv6 loopback address as well, and nowhere else', async () => {
    const node = cluster.node(1);
    expect((await proxyFetch(node, '/v2/', { host: '[::1]' })).status).toBe(200);
    await expect(proxyFetch(node, '/v2/', { host: node.address })).rejects.toThrow(/ECONNREFUSED/);
  });
});
