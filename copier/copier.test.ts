import type { IncomingMessage, ServerResponse } from 'node:http';
import { setImmediate } from 'node:timers/promises';
import { CopierBench, errorOf, policy, REVALIDATE_MS, until } from '../test/fakes/copier-bench.ts';
import { testImage, testIndex } from '../test/fakes/images.ts';
import { digestOf } from '../registry/core/digest.ts';

const layer = Buffer.alloc(3_000_000, 'larder');
const image = testImage([layer, 'small']);
const other = testImage(['another image']);
const layerDigest = image.root.manifest.kind === 'image' ? (image.root.manifest.layers[0]?.digest ?? '') : '';
let bench: CopierBench;

beforeEach(async () => {
  bench = await CopierBench.start();
});

afterEach(async () => {
  await bench.stop();
});

describe('a blob that the store lacks', () => {
  it('is fetched once for fifty clients, given to all, and stored', async () => {
    bench.offer(image);
    const replies = await Promise.all(Array.from({ length: 50 }, () => bench.blob(layerDigest)));
    expect(replies.every(({ status, body }) => status === 200 && body.equals(layer))).toBe(true);
    await bench.settled();
    expect(bench.upstream.count('GET', layerDigest)).toBe(1);
    expect([...bench.cached.blobs.keys()]).toEqual([layerDigest]);
  }, 30_000);

  it('is given in part when a part is asked for, on its way and when it is stored', async () => {
    bench.offer(image);
    for (const state of ['on its way', 'stored']) {
      const reply = await bench.blob(layerDigest, { range: 'bytes=10-19' });
      expect([state, reply.status, reply.body.toString()]).toEqual([
        state,
        206,
        layer.subarray(10, 20).toString(),
      ]);
      expect(reply.headers).toMatchObject({
        'content-range': `bytes 10-19/${layer.length}`,
        'content-length': '10',
      });
      await bench.settled();
    }
    expect(await bench.blob(layerDigest, { range: 'bytes=9999999-' })).toMatchObject({
      status: 416,
      headers: { 'content-range': `bytes */${layer.length}` },
    });
    expect(await bench.blob(layerDigest, { range: 'bytes=0-4', 'if-range': '"other"' })).toMatchObject({
      status: 200,
    });
    expect(bench.upstream.count('GET', layerDigest)).toBe(1);
  });

  it('is taken up again by Range when upstream breaks off', async () => {
    bench.offer(image);
    let broken = false;
    bench.upstream.intercept = (request, response) => {
      if (broken || !request.url?.includes('/blobs/')) return false;
      broken = true;
      response.writeHead(200, { 'content-length': String(layer.length) });
      response.write(layer.subarray(0, 1_000_000), () => response.destroy());
      return true;
    };
    const reply = await bench.blob(layerDigest);
    expect(reply.body.equals(layer)).toBe(true);
    await bench.settled();
    expect(bench.cached.blobs.size).toBe(1);
  });

  it('is cut short and not stored when its bytes are wrong', async () => {
    bench.offer(image);
    const wrong = Buffer.from(layer).fill('x', 1_000, 2_000);
    bench.upstream.repository('acme/app').blobs.set(image.root.digest, wrong);
    bench.upstream.intercept = (request, response) => {
      if (!request.url?.includes('/blobs/')) return false;
      response.writeHead(200, { 'content-length': String(wrong.length) }).end(wrong);
      return true;
    };
    const reply = await bench.blob(layerDigest);
    expect(reply).toMatchObject({ status: 200, complete: false });
    expect(reply.body.length).toBeLessThan(wrong.length);
    await bench.settled();
    expect(bench.cached.blobs.size).toBe(0);
  });

  it('is stored although its only client has left, and the disk is free again', async () => {
    bench.offer(image);
    const held = Promise.withResolvers<undefined>();
    bench.upstream.intercept = (request, response) => {
      if (!request.url?.includes('/blobs/')) return false;
      response.writeHead(200, { 'content-length': String(layer.length) });
      response.write(layer.subarray(0, 100_000));
      void held.promise.then(() => response.end(layer.subarray(100_000)));
      return true;
    };
    await bench.leaveDuring(`/v2/${bench.name()}/blobs/${layerDigest}`);
    held.resolve(undefined);
    await bench.settled();
    expect([...bench.cached.blobs.keys()]).toEqual([layerDigest]);
    await until(() => bench.spoolBytes === 0);
  });

  it('is passed on without being stored when the spool is full, and still verified', async () => {
    await bench.stop();
    bench = await CopierBench.start({ LARDER_SPOOL_LIMIT: '1Mi' });
    bench.offer(image);
    expect((await bench.blob(layerDigest)).body.equals(layer)).toBe(true);
    expect(bench.cached.blobs.size).toBe(0);
  });

  it('is passed on without being stored, verified, when a policy says that it is not to be cached', async () => {
    bench.offer(image, '1');
    bench.policies = [policy({ cache: false })];
    expect((await bench.manifest('1')).body.equals(image.root.bytes)).toBe(true);
    expect((await bench.blob(layerDigest)).body.equals(layer)).toBe(true);
    await bench.settled();
    expect([bench.cached.blobs.size, bench.cached.manifests.size]).toEqual([0, 0]);
  });

  it('reaches its client while the store cannot be written, and the store afterwards', async () => {
    bench.offer(image);
    let away = true;
    bench.store.intercept = (request, response) => {
      if (!away || request.method === 'GET' || request.method === 'HEAD') return false;
      response.destroy();
      return true;
    };
    expect((await bench.blob(layerDigest)).body.equals(layer)).toBe(true);
    away = false;
    await bench.settled();
    expect(bench.cached.blobs.size).toBe(1);
    expect(bench.upstream.count('GET', layerDigest)).toBe(1);
  });

  it('answers HEAD without fetching it', async () => {
    bench.offer(image);
    const reply = await bench.ask(`/v2/${bench.name()}/blobs/${layerDigest}`, { method: 'HEAD' });
    expect(reply).toMatchObject({ status: 200, headers: { 'content-length': String(layer.length) } });
    expect(bench.upstream.count('GET', layerDigest)).toBe(0);
  });
});

describe('a manifest', () => {
  it('is given byte for byte, and stored with the image once its content is', async () => {
    bench.offer(image, '1');
    const reply = await bench.manifest('1');
    expect(reply.body.equals(image.root.bytes)).toBe(true);
    expect(reply.headers).toMatchObject({
      'docker-content-digest': image.root.digest,
      'content-type': image.root.manifest.mediaType,
    });
    await until(() => bench.cached.tags.has('1'));
    expect(bench.cached.blobs.size).toBe(3);
  });

  it('is stored although a collection takes its blobs before the manifest comes', async () => {
    bench.offer(image, '1');
    let collected = false;
    bench.store.intercept = ({ method, url = '' }) => {
      if (method === 'PUT' && url.includes('/manifests/1') && !collected) {
        collected = true;
        bench.cached.blobs.clear();
      }
      return false;
    };
    await bench.manifest('1');
    await until(() => bench.cached.tags.has('1'));
    expect(bench.cached.blobs.size).toBe(3);
    expect(bench.upstream.count('GET', layerDigest)).toBe(2);
  });

  it('is fetched once for fifty clients', async () => {
    await bench.stop();
    bench = await CopierBench.start({ LARDER_FRESH_FOR: '30s' });
    bench.offer(image, '1');
    await Promise.all(Array.from({ length: 50 }, () => bench.manifest('1')));
    expect(bench.upstream.count('GET', '/manifests/1')).toBe(1);
  });

  it('of several platforms is stored whole with the one platform that was pulled, its tag last', async () => {
    const index = testIndex({ 'linux/amd64': image, 'linux/arm64': other });
    bench.offer(index, '1');
    expect((await bench.manifest('1')).body.equals(index.root.bytes)).toBe(true);
    await bench.settled();
    expect(bench.cached.tags.size).toBe(0);
    await bench.manifest(image.root.digest);
    await until(() => bench.cached.tags.has('1'));
    expect([...bench.cached.manifests.keys()].sort()).toEqual([image.root.digest, index.root.digest].sort());
  });

  it('that has moved is served new, and stored', async () => {
    bench.offer(image, '1');
    await bench.manifest('1');
    await until(() => bench.cached.tags.has('1'));
    bench.offer(other, '1');
    expect((await bench.manifest('1')).body.equals(other.root.bytes)).toBe(true);
    await until(() => bench.cached.tags.get('1') === other.root.digest);
  });

  it('that is fresh is served without asking upstream', async () => {
    await bench.stop();
    bench = await CopierBench.start({ LARDER_FRESH_FOR: '1h' });
    bench.offer(image, '1');
    await bench.manifest('1');
    const before = bench.upstream.requests.length;
    expect((await bench.manifest('1')).status).toBe(200);
    await bench.settled();
    expect(bench.upstream.requests.filter(({ path }) => path.includes('/manifests/')).length).toBe(1);
    expect(before).toBeGreaterThan(0);
  });

  it('that is cached comes first where a policy says so', async () => {
    bench.cached.add(image, '1');
    bench.offer(other, '1');
    bench.policies = [policy({ tagPolicy: 'CacheFirst' })];
    expect((await bench.manifest('1')).body.equals(image.root.bytes)).toBe(true);
    expect(bench.upstream.requests).toEqual([]);
    bench.policies = [policy({ tagPolicy: 'Revalidate' })];
    expect((await bench.manifest('1')).body.equals(other.root.bytes)).toBe(true);
  });

  it.each<[string, (request: IncomingMessage, response: ServerResponse) => void]>([
    ['refuses', (_, response) => response.writeHead(403).end()],
    ['has lost it', (_, response) => response.writeHead(404).end()],
    ['limits its rate', (_, response) => response.writeHead(429, { 'retry-after': '60' }).end()],
    ['is broken', (_, response) => response.writeHead(500).end()],
    ['hangs up', (_, response) => response.destroy()],
    ['never answers', () => undefined],
  ])('that is cached is served when upstream %s', async (_, behaviour) => {
    bench.cached.add(image, '1');
    bench.upstream.intercept = (request, response) => {
      behaviour(request, response);
      return true;
    };
    const startedAt = performance.now();
    expect((await bench.manifest('1')).body.equals(image.root.bytes)).toBe(true);
    expect(performance.now() - startedAt).toBeLessThan(REVALIDATE_MS + 300);
  });

  it('that is cached is not delayed again by an upstream that hangs', async () => {
    bench.cached.add(image, '1');
    bench.upstream.intercept = () => true;
    await bench.manifest('1');
    const startedAt = performance.now();
    expect((await bench.manifest('1')).status).toBe(200);
    expect(performance.now() - startedAt).toBeLessThan(50);
    expect(bench.upstream.requests.length).toBe(1);
  });

  it.each([
    [401, 'Unauthorized', 401, {}],
    [403, 'Forbidden', 403, {}],
    [404, 'NotFound', 404, {}],
    [429, 'RateLimited', 429, { 'retry-after': '7' }],
    [500, 'UpstreamError', 502, {}],
  ])(
    'that is not cached is answered with what upstream means: %d',
    async (given, reason, status, headers) => {
      bench.upstream.intercept = (_, response) => {
        response.writeHead(given, headers).end();
        return true;
      };
      expect(await bench.manifest('1')).toMatchObject({
        status,
        headers: { 'larder-upstream-reason': reason, ...headers },
      });
    },
  );

  it('that is not cached is not waited for without end', async () => {
    bench.upstream.intercept = () => true;
    expect(await bench.manifest('1')).toMatchObject({
      status: 504,
      headers: { 'larder-upstream-reason': 'TimedOut' },
    });
  });

  it('that is not cached is refused at once while upstream is known to be away, and fetched when it is back', async () => {
    await bench.stop();
    bench = await CopierBench.start({ LARDER_UPSTREAM_PAUSE: '300ms' });
    bench.offer(image, '1');
    bench.upstream.intercept = () => true;
    for (let n = 0; n < 2; n += 1) expect((await bench.manifest('1')).status).toBe(504);
    const [asked, startedAt] = [bench.upstream.requests.length, performance.now()];
    expect(await bench.manifest('1')).toMatchObject({
      status: 502,
      headers: { 'larder-upstream-reason': 'Unreachable' },
    });
    expect(performance.now() - startedAt).toBeLessThan(200);
    expect(bench.upstream.requests.length).toBe(asked);
    bench.upstream.intercept = () => false;
    while ((await bench.manifest('1')).status !== 200) await setImmediate();
  });

  it.each([
    ['too large', Buffer.alloc(4 * 1024 * 1024 + 1, ' ')],
    ['not JSON', Buffer.from('<html>')],
    ['of schema 1', Buffer.from('{"schemaVersion":1,"fsLayers":[]}')],
  ])('that is %s is refused, and nothing is stored', async (_, bytes) => {
    bench.upstream.intercept = (_request, response) => {
      response.writeHead(200, { 'content-type': 'application/vnd.oci.image.manifest.v1+json' }).end(bytes);
      return true;
    };
    const reply = await bench.manifest('1');
    expect(reply.status).toBe(502);
    expect(errorOf(reply)).toHaveProperty('code');
    expect(bench.cached.manifests.size).toBe(0);
  });

  it('with other bytes than its digest is refused', async () => {
    bench.upstream.repository('acme/app').manifests.set(image.root.digest, {
      bytes: other.root.bytes,
      mediaType: other.root.manifest.mediaType,
    });
    expect(await bench.manifest(image.root.digest)).toMatchObject({
      status: 502,
      headers: { 'larder-upstream-reason': 'DigestMismatch' },
    });
    expect(bench.cached.manifests.size).toBe(0);
  });
});

describe('a request that is none', () => {
  it.each([
    ['/v2/x/manifests/1', 'PUT', 405],
    ['/v2/reg.example.com/a/blobs/md5:abc', 'GET', 400],
    ['/v2/reg.example.com/a/nothing/1', 'GET', 404],
    ['/elsewhere', 'GET', 404],
    ['/larder/v1/nothing', 'POST', 404],
    ['/larder/v1/copy', 'GET', 405],
  ])('%s by %s is answered %d with an OCI error', async (path, method, status) => {
    const reply = await bench.ask(path, { method });
    expect(reply.status).toBe(status);
    expect(errorOf(reply)).toHaveProperty('code');
    expect(reply.headers).not.toHaveProperty('larder-upstream-reason');
  });
});

describe("a tenant's image", () => {
  const login = { username: 'team', password: 'secret' };
  const secret = (password: string): object => ({
    type: 'kubernetes.io/dockerconfigjson',
    data: {
      '.dockerconfigjson': Buffer.from(
        JSON.stringify({ auths: { [bench.upstream.host]: { username: login.username, password } } }),
      ).toString('base64'),
    },
  });

  beforeEach(async () => {
    await bench.stop();
    bench = await CopierBench.start({ LARDER_SECRET_FRESH_FOR: '0' }, login);
    bench.offer(image, '1');
  });

  it("is fetched with its namespace's pull secrets, and nobody else's", async () => {
    bench.secretNames = ['regcred'];
    bench.secrets.set('team-a/regcred', secret('secret'));
    expect((await bench.manifest('1', 'team-a')).status).toBe(200);
    expect((await bench.manifest('1', 'team-b')).status).toBe(401);
    expect((await bench.manifest('1')).status).toBe(401);
  });

  it("is not fetched with the administrator's login for public names, which are", async () => {
    bench.policies = [policy({ credentials: { secretName: 'ours' } })];
    bench.secrets.set('larder/ours', secret('secret'));
    expect((await bench.manifest('1')).status).toBe(200);
    expect((await bench.manifest('1', 'team-a')).status).toBe(401);
  });

  it('works with a rotated secret at once', async () => {
    bench.secretNames = ['regcred'];
    bench.secrets.set('team-a/regcred', secret('old'));
    expect((await bench.manifest('1', 'team-a')).status).toBe(401);
    bench.secrets.set('team-a/regcred', secret('secret'));
    expect((await bench.manifest('1', 'team-a')).status).toBe(200);
  });

  it('takes the secrets that an order names', async () => {
    bench.secrets.set('team-a/named', secret('secret'));
    const { lines } = await bench.order('copy', {
      image: bench.image,
      tenant: 'team-a',
      pullSecrets: ['named'],
    });
    expect(lines.at(-1)).toMatchObject({ type: 'done', digest: image.root.digest });
    expect(bench.store.repository(bench.name('team-a')).tags.has('1')).toBe(true);
  });

  it('that is refused tells what is wrong with its secrets', async () => {
    bench.secrets.set('team-a/odd', { type: 'Opaque', data: {} });
    const order = { image: bench.image, tenant: 'team-a', pullSecrets: ['odd', 'gone'] };
    const message = expect.stringContaining(
      '(odd in team-a is no pull secret that can be used; there is no pull secret gone in team-a)',
    ) as string;
    const { lines } = await bench.order('copy', order);
    expect(lines.at(-1)).toMatchObject({ type: 'failed', reason: 'Unauthorized', message });
    const check = await bench.order('check', order);
    expect(check.lines.at(-1)).toMatchObject({ upstream: 'Unavailable', reason: 'Unauthorized', message });
  });
});

describe('an upstream that limits us', () => {
  it('is left alone for as long as it says, and what is cached is served meanwhile', async () => {
    let asked = 0;
    bench.cached.add(image, '1');
    bench.upstream.intercept = (_, response) => {
      asked += 1;
      response.writeHead(429, { 'retry-after': '60' }).end();
      return true;
    };
    for (let n = 0; n < 3; n += 1) expect(await bench.manifest('1')).toMatchObject({ status: 200 });
    for (let n = 0; n < 3; n += 1) {
      const { status, headers } = await bench.manifest('2');
      expect([status, headers['larder-upstream-reason']]).toEqual([429, 'RateLimited']);
      expect(Number(headers['retry-after'])).toBeGreaterThan(50);
    }
    expect(asked).toBe(1);
  });

  it('sends no more blobs side by side than it may', async () => {
    const layers = ['a', 'b', 'c', 'd', 'e'].map((text) => Buffer.alloc(300_000, text));
    bench.offer(testImage(layers), '1');
    let [running, most] = [0, 0];
    // The first is held until another runs beside it; otherwise it might end before that one begins.
    const two = Promise.withResolvers<undefined>();
    bench.upstream.intercept = async ({ url = '' }, response) => {
      if (!url.includes('/blobs/')) return false;
      most = Math.max(most, (running += 1));
      response.once('close', () => (running -= 1));
      if (running === 2) two.resolve(undefined);
      await two.promise;
      await setImmediate();
      return false;
    };
    await Promise.all(layers.map((content) => bench.blob(digestOf(content))));
    expect(most).toBe(2);
  });
});

describe('a list', () => {
  const signature = {
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    digest: `sha256:${'b'.repeat(64)}`,
    size: 7,
    artifactType: 'application/vnd.example.signature',
    annotations: { by: 'us' },
  };

  function referrersAnswer(response: ServerResponse, at: string, url = ''): boolean {
    if (!url.includes(at)) return false;
    response.writeHead(200, { 'content-type': 'application/vnd.oci.image.index.v1+json' });
    response.end(
      JSON.stringify({
        schemaVersion: 2,
        mediaType: 'application/vnd.oci.image.index.v1+json',
        manifests: [signature, { ...signature, artifactType: 'application/vnd.example.sbom' }],
      }),
    );
    return true;
  }

  it("of tags is upstream's, in pages", async () => {
    for (const tag of ['1', '2', '10']) bench.offer(image, tag);
    const path = `/v2/${bench.name()}/tags/list`;
    const whole = await bench.ask(path);
    expect(JSON.parse(whole.body.toString())).toEqual({ name: bench.name(), tags: ['1', '10', '2'] });
    const first = await bench.ask(`${path}?n=2`);
    expect(JSON.parse(first.body.toString())).toMatchObject({ tags: ['1', '10'] });
    expect(first.headers.link).toBe(`<${path}?n=2&last=10>; rel="next"`);
    const second = await bench.ask(`${path}?n=2&last=10`);
    expect(JSON.parse(second.body.toString())).toMatchObject({ tags: ['2'] });
    expect(second.headers.link).toBeUndefined();
    expect(await bench.ask(`${path}?n=some`)).toMatchObject({ status: 400 });
  });

  it('of tags is what the cache has, without our own, while upstream is away', async () => {
    const { digest } = image.root;
    bench.cached.add(image, '1');
    bench.cached.add(image, `larder-${digest.replace(':', '-')}`);
    bench.upstream.intercept = (_, response) => {
      response.writeHead(503).end();
      return true;
    };
    const { body } = await bench.ask(`/v2/${bench.name()}/tags/list`);
    expect(JSON.parse(body.toString())).toMatchObject({ tags: ['1'] });
  });

  it("has upstream's meaning when nobody has any", async () => {
    bench.upstream.intercept = (_, response) => {
      response.writeHead(403).end();
      return true;
    };
    const { status, headers } = await bench.ask(`/v2/${bench.name()}/tags/list`);
    expect([status, headers['larder-upstream-reason']]).toEqual([403, 'Forbidden']);
  });

  it.each([
    ['by the API', '/referrers/'],
    ['by the tag schema', `/manifests/${image.root.digest.replace(':', '-')}`],
  ])('of referrers is passed on whole, and filtered when asked to (%s)', async (_, at) => {
    bench.upstream.intercept = ({ url }, response) => {
      if (referrersAnswer(response, at, url)) return true;
      if (url?.includes('/referrers/')) response.writeHead(404).end();
      return url?.includes('/referrers/') ?? false;
    };
    const path = `/v2/${bench.name()}/referrers/${image.root.digest}`;
    const whole = await bench.ask(path);
    expect(whole.headers['content-type']).toBe('application/vnd.oci.image.index.v1+json');
    expect((JSON.parse(whole.body.toString()) as { manifests: object[] }).manifests).toHaveLength(2);
    const some = await bench.ask(`${path}?artifactType=${signature.artifactType}`);
    expect(some.headers['oci-filters-applied']).toBe('artifactType');
    expect(JSON.parse(some.body.toString())).toMatchObject({ manifests: [signature] });
  });

  it('of referrers is empty when nothing refers to an image', async () => {
    bench.upstream.intercept = ({ url = '' }, response) => {
      if (!url.includes('/referrers/')) return false;
      response.writeHead(404).end();
      return true;
    };
    const { status, body } = await bench.ask(`/v2/${bench.name()}/referrers/${image.root.digest}`);
    expect([status, JSON.parse(body.toString())]).toMatchObject([200, { manifests: [] }]);
  });
});

describe('a repository of another replica', () => {
  const there = 'https://10.0.0.2:7441';

  it('is asked for there', async () => {
    bench.replicas = ['10.0.0.2'];
    for (const path of [
      `/v2/${bench.name()}/manifests/1`,
      `/v2/${bench.name()}/blobs/sha256:${'a'.repeat(64)}`,
    ]) {
      const { status, headers } = await bench.ask(path);
      expect([status, headers.location]).toEqual([307, there + path]);
    }
    const { status, headers } = await bench.order('copy', {
      image: bench.image,
      platforms: ['linux/amd64'],
      pullSecrets: [],
    });
    expect([status, headers.location]).toEqual([307, `${there}/larder/v1/copy`]);
  });

  it('is served here to who has been there in vain', async () => {
    bench.replicas = ['10.0.0.2'];
    bench.offer(image, '1');
    const { status } = await bench.ask(`/v2/${bench.name()}/manifests/1`, {
      headers: { 'larder-serve-here': '1' },
    });
    expect(status).toBe(200);
  });
});

describe('an order', () => {
  it('copies an image, telling its progress', async () => {
    bench.offer(testIndex({ 'linux/amd64': image, 'linux/arm64': other }), '1');
    const { status, headers, lines } = await bench.order('copy', {
      image: bench.image,
      platforms: ['linux/amd64'],
    });
    expect([status, headers['content-type']]).toEqual([200, 'application/x-ndjson']);
    expect(lines.at(-1)).toMatchObject({ type: 'done', platforms: ['linux/amd64'] });
    const progress = lines.filter(({ type }) => type === 'progress').at(-1);
    expect(progress?.['completedBytes']).toBe(progress?.['totalBytes']);
    expect(bench.cached.blobs.size).toBe(3);
    expect(await bench.order('verify', { image: bench.image, platforms: ['linux/amd64'] })).toMatchObject({
      lines: [{ complete: true, digest: lines.at(-1)?.['digest'] }],
    });
  });

  it('shares what clients are fetching already', async () => {
    bench.offer(image, '1');
    const [pulled] = await Promise.all([
      bench.blob(layerDigest),
      bench.order('copy', { image: bench.image }),
    ]);
    expect(pulled.status).toBe(200);
    expect(bench.upstream.count('GET', layerDigest)).toBe(1);
  });

  it('that fails says why, in the end', async () => {
    const { status, lines } = await bench.order('copy', { image: bench.image });
    expect([status, lines.at(-1)]).toMatchObject([200, { type: 'failed', reason: 'NotFound' }]);
  });

  it('says that the store is away', async () => {
    bench.offer(image, '1');
    bench.store.intercept = (_, response) => {
      response.destroy();
      return true;
    };
    const { lines } = await bench.order('copy', { image: bench.image });
    expect(lines.at(-1)).toMatchObject({ type: 'failed', reason: 'StoreUnavailable' });
  });

  it('checks an image upstream', async () => {
    expect((await bench.order('check', { image: bench.image })).lines).toMatchObject([
      { upstream: 'Unavailable', reason: 'NotFound' },
    ]);
    bench.offer(image, '1');
    expect((await bench.order('check', { image: bench.image })).lines).toEqual([
      { upstream: 'Available', digest: image.root.digest },
    ]);
  });

  it('verifies what the store has', async () => {
    expect((await bench.order('verify', { image: bench.image })).lines).toEqual([
      { complete: false, missing: [] },
    ]);
    bench.cached.add(image, '1');
    bench.cached.blobs.delete(image.root.digest);
    expect((await bench.order('verify', { image: bench.image })).lines).toMatchObject([{ complete: true }]);
    for (const digest of [...bench.cached.blobs.keys()].slice(0, 1)) bench.cached.blobs.delete(digest);
    expect((await bench.order('verify', { image: bench.image })).lines).toMatchObject([
      { complete: false, missing: [expect.any(String)] },
    ]);
  });

  it('deletes the tag and nothing else, however often', async () => {
    bench.cached.add(image, '1');
    bench.cached.add(image, '2');
    expect((await bench.order('delete', { image: bench.image })).status).toBe(204);
    expect((await bench.order('delete', { image: bench.image })).status).toBe(204);
    expect([...bench.cached.tags.keys()]).toEqual(['2']);
    expect(bench.cached.manifests.size).toBe(1);
  });

  it('is refused to strangers, as pulls are', async () => {
    bench.role = undefined;
    bench.cached.add(image, '1');
    expect((await bench.order('delete', { image: bench.image })).status).toBe(401);
    expect(await bench.manifest('1')).toMatchObject({ status: 401 });
    expect((await bench.manifest('1')).headers).not.toHaveProperty('larder-upstream-reason');
  });

  it('is refused to those who may only pull', async () => {
    bench.role = 'puller';
    expect((await bench.order('delete', { image: bench.image })).status).toBe(403);
    bench.cached.add(image, '1');
    expect((await bench.manifest('1')).status).toBe(200);
  });

  it.each([
    ['not JSON', '{'],
    ['no image', '{}'],
    ['a bad image', '{"image":"UPPER/CASE"}'],
    ['a bad tenant', '{"image":"a","tenant":"../x"}'],
  ])('with %s is answered 400', async (_, body) => {
    const reply = await bench.ask('/larder/v1/copy', { method: 'POST', body });
    expect(reply.status).toBe(400);
    expect(errorOf(reply)).toHaveProperty('code');
  });
});
