/** Clients other than the runtime: crane, and whoever asks for parts of a blob. */
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildTool } from '../cluster/tools.ts';
import { digestOf } from '../../registry/core/digest.ts';
import { OCI_INDEX, OCI_MANIFEST } from '../../registry/core/media-types.ts';
import type { Site } from '../cluster/site.ts';
import { HostileSite } from '../hostile/site.ts';
import { type HostileImage, manifestPath, throughProxy, uncached } from '../hostile/states.ts';
import { forget, preheat } from '../larder/preheat.ts';
import { proxyFetch } from '../larder/proxy-fetch.ts';
import { sharedCluster } from '../larder/shared-cluster.ts';

const cluster = sharedCluster();
const node = cluster.node(1);
const CLIENT_MS = 60_000;

async function hostileImage(name: string): Promise<HostileImage> {
  return uncached((await HostileSite.of(cluster)).host(34), 'none', name);
}

describe('crane', () => {
  async function crane(...args: string[]): Promise<string> {
    return (await node.exec([join(await buildTool('crane'), 'crane'), ...args])).stdout;
  }

  it(
    'pulls an image that nobody has pulled before, all platforms of it, and finds every digest right',
    async () => {
      const image = throughProxy(await hostileImage('crane'));
      const folder = await mkdtemp(join(tmpdir(), 'larder-crane-'));
      await crane('pull', '--format=oci', image, folder);
      // An index; for each platform manifest, config and a layer; the layer that both have.
      expect(await readdir(join(folder, 'blobs/sha256'))).toHaveLength(8);
      await rm(folder, { recursive: true });
      const { body, headers } = await proxyFetch(node, manifestPath(await hostileImage('crane')));
      expect(await crane('manifest', image)).toBe(body.toString());
      expect((await crane('digest', image)).trim()).toBe(headers['docker-content-digest']);
    },
    CLIENT_MS,
  );

  it(
    'lists tags, and may not push',
    async () => {
      const { reference } = await cluster.pushImage({ site: 'plain', repository: 'clients/app', tag: '1' });
      const image = `localhost:7439/${reference.replace(/:(\d+)\//, '-$1/')}`;
      expect((await crane('ls', image.replace(/:1$/, ''))).trim().split('\n')).toEqual(['1']);
      await expect(crane('tag', image, '2')).rejects.toThrow('only GET and HEAD are served here');
    },
    CLIENT_MS,
  );
});

it(
  'a part of a blob is answered alike while it is on its way, from the copier, and from the store',
  async () => {
    const image = await hostileImage('parts');
    const index = JSON.parse((await proxyFetch(node, manifestPath(image))).body.toString()) as Descriptors;
    const below = manifestPath(image).replace(/manifests.*$/, '');
    const child = index.manifests?.[0]?.digest ?? '';
    const manifest = JSON.parse(
      (await proxyFetch(node, `${below}manifests/${child}`)).body.toString(),
    ) as Descriptors;
    const { digest, size } = manifest.layers?.at(-1) ?? { digest: '', size: 0 };
    const ask = (headers: Record<string, string>): ReturnType<typeof proxyFetch> =>
      proxyFetch(node, `${below}blobs/${digest}`, { headers });
    for (let round = 1; round <= 2; round += 1) {
      const [part, mine, other, beyond] = await Promise.all([
        ask({ range: 'bytes=10-19' }),
        ask({ range: 'bytes=10-19', 'if-range': `"${digest}"` }),
        ask({ range: 'bytes=10-19', 'if-range': '"another"' }),
        ask({ range: `bytes=${size}-` }),
      ]);
      expect([round, part.status, mine.status, other.status, beyond.status]).toEqual([
        round,
        206,
        206,
        200,
        416,
      ]);
      expect(part.headers['content-range']).toBe(`bytes 10-19/${size}`);
      expect(part.body.equals(other.body.subarray(10, 20))).toBe(true);
    }
  },
  CLIENT_MS,
);

it(
  'what refers to an image is found in the cache while its registry is away, when a policy says so',
  async () => {
    const [site, repository] = [cluster.internet.site('plain'), 'clients/signed'];
    const { reference, digest } = await cluster.pushImage({ site: 'plain', repository, tag: '1' });
    const cosignTag = `${digest.replace(':', '-')}.sig`;
    await cluster.pushImage({ site: 'plain', repository, tag: cosignTag });
    const attached = await attach(site, repository, digest);
    const name = 'clients-signed';
    const match = { images: [`${site.registry}/${repository}`] };
    await cluster.apply({
      apiVersion: 'larder.dev/v1alpha1',
      kind: 'CachePolicy',
      metadata: { name },
      spec: { match, referrers: true },
    });
    await preheat(cluster, name, [reference]);
    const cached = `/v2/${site.registry.replace(':', '-')}/${repository}`;
    const look = async (path: string): Promise<Awaited<ReturnType<typeof proxyFetch>>> =>
      proxyFetch(node, `${cached}/${path}`);
    await site.link.reject();
    try {
      const listed = async (): Promise<boolean | undefined> => {
        const { manifests } = JSON.parse((await look(`referrers/${digest}`)).body.toString()) as Descriptors;
        return manifests?.some((manifest) => manifest.digest === attached);
      };
      await cluster.waitFor('the artifact is listed', listed, { deadlineMs: 20_000, intervalMs: 300 });
      expect((await look(`manifests/${attached}`)).status).toBe(200);
      expect((await look(`manifests/${cosignTag}`)).status).toBe(200);
    } finally {
      await site.link.restore();
      await forget(cluster, name);
      await cluster.kubectl(['delete', 'cachepolicy', name]);
    }
  },
  CLIENT_MS,
);

/**
 * Pushes an artifact that refers to an image, of the content of the image itself, and lists it by the tag
 * schema.
 */
async function attach(site: Site, repository: string, subject: string): Promise<string> {
  const client = site.client();
  const ask = async (reference: string): Promise<Record<string, unknown>> =>
    (await (
      await client.request(`/v2/${repository}/manifests/${reference}`, { headers: { accept: TYPES } })
    ).body.json()) as Record<string, unknown>;
  const put = async (reference: string, json: object, mediaType: string): Promise<void> => {
    const request = {
      method: 'PUT',
      headers: { 'content-type': mediaType },
      body: JSON.stringify(json),
    } as const;
    const { statusCode, body } = await client.request(`/v2/${repository}/manifests/${reference}`, request);
    await body.dump();
    expect(statusCode).toBe(201);
  };
  const index = await ask(subject);
  const [child] = (index as Descriptors).manifests ?? [];
  const described = { mediaType: OCI_INDEX, digest: subject, size: JSON.stringify(index).length };
  const artifact = {
    ...(await ask(child?.digest ?? '')),
    artifactType: 'application/vnd.example.sbom',
    subject: described,
  };
  const digest = digestOf(Buffer.from(JSON.stringify(artifact)));
  await put(digest, artifact, OCI_MANIFEST);
  const listed = { mediaType: OCI_MANIFEST, digest, size: JSON.stringify(artifact).length };
  const list = { schemaVersion: 2, mediaType: OCI_INDEX, manifests: [listed] };
  await put(subject.replace(':', '-'), list, OCI_INDEX);
  await client.close();
  return digest;
}

const TYPES = `${OCI_INDEX}, ${OCI_MANIFEST}`;

interface Descriptors {
  readonly manifests?: readonly { readonly digest: string }[];
  readonly layers?: readonly { readonly digest: string; readonly size: number }[];
}
