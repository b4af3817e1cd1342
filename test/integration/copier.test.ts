/** The copier between a fake upstream and the store as it is: what only the real registry can show. */
import { join } from 'node:path';
import { referrersTag } from '../../registry/core/attached-tag.ts';
import { digestOf, type Digest } from '../../registry/core/digest.ts';
import { OCI_MANIFEST } from '../../registry/core/media-types.ts';
import { headBlob } from '../../registry/client/blobs.ts';
import { allTags, listReferrers } from '../../registry/client/listing.ts';
import { getManifest } from '../../registry/client/manifests.ts';
import { StoreBench } from '../envtest/store.ts';
import { CopierBench } from '../fakes/copier-bench.ts';
import {
  testArtifact,
  testDescriptor,
  testImage,
  testIndex,
  testManifest,
  type TestImage,
} from '../fakes/images.ts';

const { signal } = new AbortController();
let store: StoreBench;
let bench: CopierBench;

beforeAll(async () => {
  store = await StoreBench.start();
}, 600_000);

afterAll(() => store.stop());

beforeEach(async () => {
  bench = await CopierBench.start({
    LARDER_STORE_READER_URL: store.origin('reader'),
    LARDER_STORE_READER_LOGIN: join(store.folder, 'reader'),
    LARDER_STORE_WRITER_URL: store.origin('writer'),
    LARDER_STORE_WRITER_LOGIN: join(store.folder, 'writer'),
  });
});

afterEach(() => bench.stop());

function reader(repository: string, tenant?: string): ReturnType<StoreBench['client']> {
  return store.client('reader', bench.name(tenant, repository));
}

/** Bytes of blobs that upstream was asked for. */
function fetched(): string[] {
  return bench.upstream.requests
    .filter(({ method, path }) => method === 'GET' && path.includes('/blobs/'))
    .map(({ path }) => path);
}

describe('a layer that several images share', () => {
  let base: Buffer;
  let digest: Digest;
  let second: TestImage;

  beforeEach(() => {
    // Another one for each test: the store remembers.
    base = Buffer.alloc(1_000_000, `base ${expect.getState().currentTestName ?? ''}`);
    digest = digestOf(base);
    second = testImage([base, 'second']);
    bench.offer(testImage([base, 'first']), '1', 'acme/first');
    bench.offer(second, '1', 'acme/second');
  });

  it('is mounted: no byte of it comes from upstream', async () => {
    expect(await bench.copy('acme/first')).toMatchObject({ type: 'done' });
    const before = fetched().length;
    expect(await bench.copy('acme/second')).toMatchObject({ type: 'done' });
    expect(
      fetched()
        .slice(before)
        .filter((path) => path.endsWith(digest)),
    ).toEqual([]);
    expect(await headBlob(reader('acme/second'), digest, signal)).toEqual({ size: base.length });
  });

  it('is mounted after a collection too, unless nobody has it any more', async () => {
    await bench.copy('acme/first');
    expect((await store.collect()).lastCollection?.error).toBeUndefined();
    await bench.copy('acme/second');
    expect(fetched().filter((path) => path.endsWith(digest))).toHaveLength(1);
    const images = ['acme/first', 'acme/second'].map((name) => `${bench.upstream.host}/${name}:1`);
    for (const image of images) await bench.order('delete', { image });
    expect((await store.collect()).lastCollection?.error).toBeUndefined();
    expect(await headBlob(store.client('reader', 'larder.invalid/blobs'), digest, signal)).toBeUndefined();
    expect(await bench.copy('acme/first')).toMatchObject({ type: 'done' });
    expect(fetched().filter((path) => path.endsWith(digest))).toHaveLength(2);
  });

  it("is not given to another namespace whose registry only names it; it is fetched with that namespace's own credentials", async () => {
    await bench.copy('acme/first', { tenant: 'team-a' });
    bench.upstream.repository('acme/second').blobs.delete(digest);
    expect(await bench.copy('acme/second', { tenant: 'team-b' })).toMatchObject({ reason: 'NotFound' });
    expect(await headBlob(reader('acme/second', 'team-b'), digest, signal)).toBeUndefined();
    bench.offer(second, '1', 'acme/second');
    expect(await bench.copy('acme/second', { tenant: 'team-b' })).toMatchObject({ type: 'done' });
    expect(await headBlob(reader('acme/second', 'team-b'), digest, signal)).toEqual({ size: base.length });
  });
});

describe('what refers to an image', () => {
  const amd64 = testImage(['signed amd64']);
  const arm64 = testImage(['signed arm64'], 'linux/arm64');
  const index = testIndex({ 'linux/amd64': amd64, 'linux/arm64': arm64 });
  const signature = testArtifact(index.root, 'signature', 'application/vnd.example.signature');
  const sbom = testArtifact(amd64.root, 'sbom', 'application/vnd.example.sbom');
  const countersignature = testArtifact(sbom.root, 'of the sbom', 'application/vnd.example.signature');
  const cosigned = testImage(['cosign']);
  const name = 'acme/signed';
  const order = { platforms: ['linux/amd64'], referrers: true };

  function offerAll(): void {
    bench.offer(index, '1', name);
    for (const artifact of [signature, sbom, countersignature]) bench.offer(artifact, undefined, name);
    bench.offer(cosigned, `${referrersTag(index.root.digest)}.sig`, name);
  }

  it('is copied along: by the API, and what signs it in turn, and by the tags of cosign', async () => {
    offerAll();
    expect(await bench.copy(name, order)).toMatchObject({ type: 'done', referrers: 4 });
    bench.upstream.intercept = (_, response) => {
      response.writeHead(503).end();
      return true;
    };
    for (const [subject, artifact] of [
      [index, signature],
      [amd64, sbom],
      [sbom, countersignature],
    ] as const) {
      const path = `/v2/${bench.name(undefined, name)}/referrers/${subject.root.digest}`;
      const { status, body } = await bench.ask(path);
      expect([status, JSON.parse(body.toString())]).toMatchObject([
        200,
        { manifests: [{ digest: artifact.root.digest }] },
      ]);
      const manifest = `/v2/${bench.name(undefined, name)}/manifests/${artifact.root.digest}`;
      expect((await bench.ask(manifest)).body.equals(Buffer.from(artifact.root.bytes))).toBe(true);
    }
    const tagged = `/v2/${bench.name(undefined, name)}/manifests/${referrersTag(index.root.digest)}.sig`;
    expect((await bench.ask(tagged)).body.equals(Buffer.from(cosigned.root.bytes))).toBe(true);
  });

  it('is copied along from a registry that has only the tag schema, and goes when the image goes', async () => {
    offerAll();
    const descriptors = [testDescriptor(signature.root.bytes, OCI_MANIFEST)];
    const list = testManifest({ manifests: descriptors }, 'application/vnd.oci.image.index.v1+json');
    const tag = referrersTag(index.root.digest);
    bench.offer({ root: list, manifests: [list], blobs: new Map() }, tag, name);
    bench.upstream.intercept = ({ url }, response) => {
      if (!url?.includes('/referrers/')) return false;
      response.writeHead(404).end();
      return true;
    };
    const tenant = { ...order, tenant: 'team-tags' };
    expect(await bench.copy(name, tenant)).toMatchObject({ type: 'done', referrers: 2 });
    const client = reader(name, 'team-tags');
    expect(await listReferrers(client, index.root.digest, signal)).toMatchObject([
      { digest: signature.root.digest },
    ]);
    await bench.order('delete', { image: `${bench.upstream.host}/${name}:1`, tenant: 'team-tags' });
    expect(await allTags(client, signal).catch(() => [])).toEqual([]);
    await expect(getManifest(client, { digest: signature.root.digest }, { signal })).rejects.toMatchObject({
      reason: 'NotFound',
    });
  });

  it('is brought by a check when it was attached after the image had been copied', async () => {
    bench.offer(index, '1', name);
    const tenant = 'team-later';
    expect(await bench.copy(name, { ...order, tenant })).toMatchObject({ type: 'done', referrers: 0 });
    offerAll();
    const image = `${bench.upstream.host}/${name}:1`;
    const question = { image, tenant, pullSecrets: [] };
    expect((await bench.order('check', question)).lines).toEqual([
      { upstream: 'Available', digest: index.root.digest },
    ]);
    expect((await bench.order('check', { ...question, referrers: true })).lines).toMatchObject([
      { upstream: 'Available', digest: index.root.digest, referrers: 4 },
    ]);
    expect(await listReferrers(reader(name, tenant), amd64.root.digest, signal)).toMatchObject([
      { digest: sbom.root.digest },
    ]);
  });

  it('is not asked for unless that is ordered', async () => {
    offerAll();
    expect(await bench.copy(name, { tenant: 'team-plain' })).not.toHaveProperty('referrers');
    expect(bench.upstream.requests.filter(({ path }) => path.includes('/referrers/'))).toEqual([]);
  });

  it('does not keep an image from being there when it cannot be had', async () => {
    offerAll();
    bench.upstream.intercept = ({ url }, response) => {
      if (!url?.includes('/referrers/')) return false;
      response.writeHead(500).end();
      return true;
    };
    const copied = await bench.copy(name, { ...order, tenant: 'team-broken' });
    expect(copied).toMatchObject({
      type: 'done',
      referrersFailure: expect.stringContaining('500') as string,
    });
  });
});

describe('content of every kind', () => {
  const NON_DISTRIBUTABLE_ZSTD = 'application/vnd.oci.image.layer.nondistributable.v1.tar+zstd';
  const layer = Buffer.from('a layer');
  const foreign = Buffer.from('a layer that lies elsewhere');
  const imageConfig = Buffer.from(JSON.stringify({ os: 'linux', architecture: 'amd64', config: {} }));
  const docker = 'application/vnd.docker.distribution.manifest.v2+json';

  function contentOf(layerType: string): Buffer {
    return Buffer.from(`${layer.toString()} ${layerType}`);
  }

  function imageOf(
    type: string,
    config: { bytes: Buffer; type: string },
    layerTypes: readonly string[],
    extra: readonly object[] = [],
  ): TestImage {
    const layers = layerTypes.map((layerType) => ({ type: layerType, bytes: contentOf(layerType) }));
    const root = testManifest(
      {
        config: testDescriptor(config.bytes, config.type),
        layers: [...layers.map(({ type: each, bytes }) => testDescriptor(bytes, each)), ...extra],
      },
      type,
    );
    const contents = [config.bytes, ...layers.map(({ bytes }) => bytes)];
    return { root, manifests: [root], blobs: new Map(contents.map((bytes) => [digestOf(bytes), bytes])) };
  }

  const elsewhere = (type: string, content: Uint8Array = foreign): object => ({
    ...testDescriptor(content, type),
    urls: ['https://licensed.example.com/layer'],
  });
  const oci = { bytes: imageConfig, type: 'application/vnd.oci.image.config.v1+json' };

  it.each<[string, TestImage]>([
    ['zstd layers', imageOf(OCI_MANIFEST, oci, ['application/vnd.oci.image.layer.v1.tar+zstd'])],
    [
      "Docker's schema 2",
      imageOf(docker, { bytes: imageConfig, type: 'application/vnd.docker.container.image.v1+json' }, [
        'application/vnd.docker.image.rootfs.diff.tar.gzip',
      ]),
    ],
    [
      'a layer that may not be distributed',
      imageOf(
        OCI_MANIFEST,
        oci,
        ['application/vnd.oci.image.layer.v1.tar'],
        [elsewhere('application/vnd.oci.image.layer.nondistributable.v1.tar+gzip')],
      ),
    ],
    [
      'a zstd layer that may not be distributed, which registries hold all the same',
      imageOf(
        OCI_MANIFEST,
        oci,
        [NON_DISTRIBUTABLE_ZSTD],
        [elsewhere(NON_DISTRIBUTABLE_ZSTD, contentOf(NON_DISTRIBUTABLE_ZSTD))],
      ),
    ],
    [
      "a foreign layer of Docker's",
      imageOf(
        docker,
        { bytes: imageConfig, type: 'application/vnd.docker.container.image.v1+json' },
        [],
        [elsewhere('application/vnd.docker.image.rootfs.foreign.diff.tar.gzip')],
      ),
    ],
    [
      'an artifact that is no image (a Helm chart)',
      imageOf(
        OCI_MANIFEST,
        { bytes: Buffer.from('{"name":"chart"}'), type: 'application/vnd.cncf.helm.config.v1+json' },
        ['application/vnd.cncf.helm.chart.content.v1.tar+gzip'],
      ),
    ],
  ])('%s: is stored and given back byte for byte under its own media types', async (_, image) => {
    const name = `acme/kind-${image.root.digest.slice(-8)}`;
    bench.offer(image, '1', name);
    expect(await bench.copy(name)).toMatchObject({ type: 'done', digest: image.root.digest });
    bench.upstream.intercept = (_request, response) => {
      response.destroy();
      return true;
    };
    const reply = await bench.ask(`/v2/${bench.name(undefined, name)}/manifests/1`);
    expect(reply.headers['content-type']).toBe(image.root.manifest.mediaType);
    expect(reply.body.equals(Buffer.from(image.root.bytes))).toBe(true);
    for (const [digest, bytes] of image.blobs) {
      const blob = await bench.ask(`/v2/${bench.name(undefined, name)}/blobs/${digest}`);
      expect(blob.body.equals(Buffer.from(bytes))).toBe(true);
    }
    expect(bench.upstream.count('GET', digestOf(foreign))).toBe(0);
  });
});

describe('a part of a blob', () => {
  const layer = Buffer.from('0123456789'.repeat(10_000));
  const digest = digestOf(layer);
  const image = testImage([layer]);

  it.each<[string, Record<string, string>, number, string | undefined]>([
    ['from the middle', { range: 'bytes=10-19' }, 206, 'bytes 10-19/100000'],
    ['to the end', { range: 'bytes=99990-' }, 206, 'bytes 99990-99999/100000'],
    ['the last bytes', { range: 'bytes=-5' }, 206, 'bytes 99995-99999/100000'],
    [
      'of the content that is meant',
      { range: 'bytes=0-4', 'if-range': `"${digest}"` },
      206,
      'bytes 0-4/100000',
    ],
    ['of other content', { range: 'bytes=0-4', 'if-range': '"sha256:other"' }, 200, undefined],
    [
      'of content of another day',
      { range: 'bytes=0-4', 'if-range': 'Tue, 01 Jan 2030 00:00:00 GMT' },
      200,
      undefined,
    ],
    ['beyond the end', { range: 'bytes=100000-' }, 416, 'bytes */100000'],
    ['that cannot be understood', { range: 'lines=1-2' }, 200, undefined],
  ])(
    '%s: is answered alike while it is on its way and when it is stored',
    async (_, headers, status, range) => {
      bench.offer(image, '1', 'acme/parts');
      const tenant = `parts-${status}-${String(Math.random()).slice(2, 8)}`;
      const path = `/v2/${bench.name(tenant, 'acme/parts')}/blobs/${digest}`;
      const onItsWay = await bench.ask(path, { headers });
      await bench.settled();
      const stored = await bench.ask(path, { headers });
      for (const reply of [onItsWay, stored])
        expect([reply.status, reply.headers['content-range']]).toEqual([status, range]);
      expect(stored.body.equals(onItsWay.body)).toBe(true);
      expect(bench.upstream.count('GET', digest)).toBe(1);
    },
  );
});
