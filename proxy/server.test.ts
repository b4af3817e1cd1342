import { Agent, createServer, request as httpRequest, type RequestListener, type Server } from 'node:http';
import { connect, type AddressInfo } from 'node:net';
import { once } from 'node:events';
import { Readable } from 'node:stream';
import { setImmediate } from 'node:timers/promises';
import { sharedBlobsRepository } from '../api/shared-blobs.ts';
import { CircuitBreaker } from '../platform/circuit-breaker.ts';
import { systemClock } from '../platform/clock.ts';
import { silentLogger } from '../platform/log.ts';
import type { TenantName } from '../registry/core/cached-name.ts';
import { type CapabilityKey, makeCapability } from '../registry/core/capability.ts';
import { RegistryError } from '../registry/core/errors.ts';
import { parsePullPath, type PullPath } from '../registry/core/pull-path.ts';
import type { RequestMetrics } from '../registry/server/request-handler.ts';
import { httpServer, type HttpServerComponent } from '../platform/http-server.ts';
import type { Running } from '../platform/run.ts';
import { Forwarder } from './origins/forward.ts';
import type { Origin } from './origins/origin.ts';
import { Peer } from './origins/peer.ts';
import { PeerOrigin } from './origins/peer-origin.ts';
import type { Failure } from './origins/plan.ts';
import { ask, type Asking, type Reply } from '../test/fakes/ask.ts';
import { answerTlsInPlain, pullHandler } from './server.ts';

const DIGEST = `sha256:${'a'.repeat(64)}`;
const BLOB = `/v2/docker.io/library/nginx/blobs/${DIGEST}`;
const TAG = '/v2/docker.io/library/nginx/manifests/1';
const CAPABILITY_KEY = { secret: Buffer.alloc(32, 1), signsFrom: 0 };
const APP_OF_TEAM_A = tenantPath('team-a', '/v2/ghcr.io/acme/app/manifests/1');
const SIGN_MS = 150;
const PATIENCE_MS = 2_000;
const HEAD_MS = 600;
const SILENCE_MS = 200;

/** The path as a Pod of the tenant asks for it: with the capability of that name, or of `other`. */
function tenantPath(tenant: string, path: string, other: Partial<TenantName> = {}): string {
  const { cached } = parsePullPath(path) as PullPath;
  const capability = makeCapability({ ...cached, tenant, ...other }, CAPABILITY_KEY);
  return path.replace('/v2/', `/v2/${tenant}.tenant.${capability}/`);
}

function breaker(): CircuitBreaker {
  return new CircuitBreaker({ failureThreshold: 1, openMs: 60_000, maxOpenMs: 60_000, probeMs: 1_000 });
}

/** Two peers that behave as a test says, and a proxy in front of them. */
class Bench {
  store: RequestListener = (_, res) => res.writeHead(404).end('{}');
  copier: RequestListener = (_, res) => res.writeHead(500).end();
  upstream: Origin = {
    ask: () =>
      Promise.resolve({
        origin: 'upstream',
        verdict: 'refused',
        error: new RegistryError('no', { reason: 'NotFound' }),
      }),
  };
  /** Another replica of the copier. */
  owner: RequestListener = (_, res) => res.writeHead(500).end();
  ownerUrl!: URL;
  /** To what belongs to namespaces. */
  admitted = true;
  keys: readonly CapabilityKey[] = [CAPABILITY_KEY];
  readonly failures: Failure[] = [];
  readonly requests: RequestMetrics[] = [];
  readonly #servers: Server[] = [];
  readonly #agent = new Agent({ keepAlive: true });
  #proxy!: HttpServerComponent;
  #running!: Running;

  static async start(): Promise<Bench> {
    const bench = new Bench();
    const storeUrl = await bench.#serve((req, res) => {
      bench.store(req, res);
    });
    const copierUrl = await bench.#serve((req, res) => {
      bench.copier(req, res);
    });
    bench.ownerUrl = await bench.#serve((req, res) => {
      bench.owner(req, res);
    });
    const peer = (name: 'store' | 'copier', target: URL, token: string): PeerOrigin =>
      new PeerOrigin(
        name,
        new Peer({
          name,
          target,
          deadlines: { signMs: SIGN_MS, headMs: HEAD_MS },
          ...(name === 'copier' ? { patienceMs: PATIENCE_MS } : {}),
          agent: () => bench.#agent,
          ...(name === 'copier' ? { replicas: { breaker: breaker(), now: systemClock.monotonic } } : {}),
          credentials: {
            authorization: () => Promise.resolve(token),
            renew: () => Promise.resolve(undefined),
          },
        }),
      );
    const forwarder = new Forwarder({
      origins: {
        store: peer('store', storeUrl, 'Bearer for-the-store'),
        copier: peer('copier', copierUrl, 'Bearer for-the-copier'),
        upstream: { ask: (pull, isPatient) => bench.upstream.ask(pull, isPatient) },
      },
      breaker: breaker(),
      now: systemClock.monotonic,
      onFailure: (_, failure) => bench.failures.push(failure),
    });
    const metrics = {
      observe: (request: RequestMetrics) => bench.requests.push(request),
      failed: () => undefined,
    };
    bench.#proxy = httpServer({
      name: 'pull',
      addresses: [{ host: '127.0.0.1', port: 0 }],
      handler: pullHandler({
        forwarder,
        metrics,
        log: silentLogger,
        silenceMs: SILENCE_MS,
        capabilities: { get: () => bench.keys },
        isRuntime: () => Promise.resolve(bench.admitted),
      }),
      configure: answerTlsInPlain,
    });
    bench.#running = await bench.#proxy.start(new AbortController().signal);
    return bench;
  }

  get port(): number {
    return this.#proxy.bound[0]?.port ?? 0;
  }

  async #serve(listener: RequestListener): Promise<URL> {
    const server = createServer(listener);
    this.#servers.push(server);
    await once(server.listen(0, '127.0.0.1'), 'listening');
    return new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  }

  async pull(path: string, asking: Asking = {}): Promise<Omit<Reply, 'body'> & { body: string }> {
    const reply = await ask(this.port, path, asking);
    return { ...reply, body: reply.body.toString() };
  }

  async stop(): Promise<void> {
    this.#agent.destroy();
    await this.#running.stop();
    for (const server of this.#servers) server.close();
  }
}

let bench: Bench;

beforeEach(async () => {
  bench = await Bench.start();
});

afterEach(async () => {
  await bench.stop();
});

describe('a pull through the proxy', () => {
  it('gives what the store has, with the headers that concern the client and no others', async () => {
    let seen: NodeJS.Dict<string | string[]> = {};
    bench.store = (req, res) => {
      seen = req.headers;
      res.writeHead(200, {
        'content-type': 'application/octet-stream',
        'docker-content-digest': DIGEST,
        'set-cookie': 'a=b',
      });
      res.end('blob');
    };
    const reply = await bench.pull(BLOB, {
      headers: { authorization: 'Basic c2VjcmV0OnNlY3JldA==', range: 'bytes=0-', cookie: 'x=y' },
    });
    expect(reply).toMatchObject({ status: 200, body: 'blob', headers: { 'docker-content-digest': DIGEST } });
    expect(reply.headers).not.toHaveProperty('set-cookie');
    expect(seen).toMatchObject({ authorization: 'Bearer for-the-store', range: 'bytes=0-' });
    expect(seen).not.toHaveProperty('cookie');
    while (bench.requests.length === 0) await setImmediate();
    expect(bench.requests).toMatchObject([{ kind: 'blob', origin: 'store', status: 200, complete: true }]);
  });

  it('answers HEAD without a body', async () => {
    bench.store = (_, res) => res.writeHead(200, { 'content-length': '1000' }).end();
    expect(await bench.pull(BLOB, { method: 'HEAD' })).toMatchObject({
      status: 200,
      body: '',
      headers: { 'content-length': '1000' },
    });
  });

  it('asks the copier for what the store does not have', async () => {
    bench.copier = (req, res) =>
      res.writeHead(200).end(`${req.url ?? ''} ${req.headers.authorization ?? ''}`);
    expect(await bench.pull(BLOB)).toMatchObject({ status: 200, body: `${BLOB} Bearer for-the-copier` });
  });

  it('gives peers the one spelling of an old name', async () => {
    bench.copier = (req, res) => res.writeHead(200).end(req.url);
    expect((await bench.pull('/v2/nginx/manifests/1')).body).toBe(TAG);
  });

  it('goes to upstream when neither peer serves, but not after upstream has refused through the copier', async () => {
    bench.upstream = {
      ask: () => Promise.resolve({ status: 200, headers: {}, body: Readable.from(['from upstream']) }),
    };
    expect((await bench.pull(BLOB)).body).toBe('from upstream');
    bench.copier = (_, res) => res.writeHead(404, { 'larder-upstream-reason': 'NotFound' }).end('{}');
    expect((await bench.pull(BLOB)).status).toBe(404);
  });

  it("passes upstream's refusal on with its meaning", async () => {
    bench.copier = (_, res) => {
      res.writeHead(429, {
        'larder-upstream-reason': 'RateLimited',
        'retry-after': '7',
        'www-authenticate': 'Bearer realm="x"',
      });
      res.end(JSON.stringify({ errors: [{ code: 'TOOMANYREQUESTS', message: 'slow down' }] }));
    };
    const reply = await bench.pull(TAG);
    expect(reply).toMatchObject({ status: 429, headers: { 'retry-after': '7' } });
    expect(reply.headers).not.toHaveProperty('www-authenticate');
    expect(JSON.parse(reply.body)).toEqual({ errors: [{ code: 'TOOMANYREQUESTS', message: 'slow down' }] });
  });

  it("does not take the copier's own refusal for upstream's", async () => {
    bench.copier = (_, res) => res.writeHead(401).end();
    bench.store = (_, res) => res.writeHead(200).end('cached');
    expect(await bench.pull(TAG)).toMatchObject({ status: 200, body: 'cached' });
  });
});

describe('a copier of several replicas', () => {
  beforeEach(() => {
    bench.copier = (req, res) => {
      if (req.headers['larder-serve-here'] === undefined)
        res.writeHead(307, { location: new URL(req.url ?? '', bench.ownerUrl).href }).end();
      else res.writeHead(200).end('from whoever was asked first');
    };
  });

  it('is asked where it sends us to, with the same credential', async () => {
    bench.owner = (req, res) => res.writeHead(200).end(`${req.url ?? ''} ${req.headers.authorization ?? ''}`);
    expect(await bench.pull(TAG)).toMatchObject({ status: 200, body: `${TAG} Bearer for-the-copier` });
  });

  it('serves where it was asked first when that replica hangs, which costs its patience once', async () => {
    let asked = 0;
    bench.owner = () => (asked += 1);
    for (let n = 0; n < 3; n += 1)
      expect(await bench.pull(BLOB)).toMatchObject({ status: 200, body: 'from whoever was asked first' });
    expect(asked).toBe(1);
  });

  it.each([TAG, BLOB])('is waited for where it is merely busy: nobody else has to fetch %s', async (path) => {
    bench.owner = (_, res) => setTimeout(() => res.writeHead(200).end('from the owner'), 3 * SIGN_MS);
    expect((await bench.pull(path)).body).toBe('from the owner');
    expect((await bench.pull(path)).body).toBe('from the owner');
  });

  it.each([TAG, BLOB])(
    'is asked once more when the replica that was asked for %s has just gone',
    async (path) => {
      bench.owner = (_, res) => res.writeHead(200).end('from the owner');
      const redirect = bench.copier;
      bench.copier = (req) => {
        bench.copier = redirect;
        req.socket.destroy();
      };
      expect((await bench.pull(path)).body).toBe('from the owner');
      expect(bench.failures.filter(({ origin }) => origin === 'copier')).toEqual([]);
    },
  );

  it('holds up what is cached for one short deadline only while its owner is silent', async () => {
    let asked = 0;
    bench.owner = () => (asked += 1);
    bench.store = (_, res) => res.writeHead(200).end('cached');
    const startedAt = performance.now();
    for (let n = 0; n < 3; n += 1) expect((await bench.pull(TAG)).body).toBe('cached');
    expect(performance.now() - startedAt).toBeLessThan(PATIENCE_MS);
    expect(asked).toBe(1);
  });
});

describe('a peer that hangs', () => {
  it('costs one deadline, and is asked last from then on', async () => {
    let asked = 0;
    bench.copier = () => (asked += 1);
    bench.store = (_, res) => res.writeHead(200).end('cached');
    expect((await bench.pull(TAG)).body).toBe('cached');
    expect(bench.failures).toMatchObject([
      { origin: 'copier', verdict: 'silent', error: { reason: 'TimedOut' } },
    ]);
    expect((await bench.pull(TAG)).body).toBe('cached');
    expect(asked).toBe(1);
  });

  it('holds up what nobody else has for its patience, once', async () => {
    let asked = 0;
    bench.copier = () => (asked += 1);
    bench.upstream = {
      ask: () => Promise.resolve({ status: 200, headers: {}, body: Readable.from(['from upstream']) }),
    };
    for (let n = 0; n < 3; n += 1) expect((await bench.pull(TAG)).body).toBe('from upstream');
    // At once and in time.
    expect(asked).toBe(2);
  });

  it('is given time when it says that it is working', async () => {
    bench.copier = (_, res) => {
      res.writeProcessing();
      setTimeout(() => res.writeHead(200).end('slow'), 2 * SIGN_MS);
    };
    expect((await bench.pull(TAG)).body).toBe('slow');
  });

  it('is not waited for forever even then', async () => {
    bench.copier = (_, res) => {
      res.writeProcessing();
    };
    expect(await bench.pull(APP_OF_TEAM_A)).toMatchObject({ status: 504 });
  });

  it('inside a body is cut off, short of the length announced', async () => {
    bench.store = (_, res) => {
      res.writeHead(200, { 'content-length': '1000' });
      res.write('begin');
    };
    expect(await bench.pull(BLOB)).toMatchObject({ status: 200, body: 'begin', complete: false });
    while (bench.requests.length === 0) await setImmediate();
    expect(bench.requests).toMatchObject([{ complete: false }]);
  });

  it('is reported as the reason when nobody else serves', async () => {
    bench.store = (_, res) => res.socket?.destroy();
    const reply = await bench.pull(APP_OF_TEAM_A);
    expect(reply.status).toBe(502);
    expect(JSON.parse(reply.body)).toMatchObject({ errors: [{ code: 'UNAVAILABLE' }] });
  });
});

describe('a request that may be refused', () => {
  it('answers the version check', async () => {
    expect(await bench.pull('/v2/')).toMatchObject({
      status: 200,
      headers: { 'docker-distribution-api-version': 'registry/2.0' },
    });
  });

  it.each(['PUT', 'POST', 'PATCH', 'DELETE'])('refuses %s', async (method) => {
    const reply = await bench.pull(BLOB, { method });
    expect(reply).toMatchObject({ status: 405, headers: { allow: 'GET, HEAD' } });
    expect(JSON.parse(reply.body)).toMatchObject({ errors: [{ code: 'UNSUPPORTED' }] });
  });

  it.each([
    ['/', 404],
    ['/v1/', 404],
    ['/v2/docker.io/library/nginx/blobs/md5:abc', 400],
    ['/v2/docker.io/library/nginx%2Fetc/manifests/1', 400],
    ['/v2/../x/manifests/1', 400],
  ])('refuses the path %s with %d and an OCI error', async (path, status) => {
    const reply = await bench.pull(path);
    expect(reply.status).toBe(status);
    expect(JSON.parse(reply.body)).toHaveProperty('errors.0.code');
  });

  it.each([undefined, 'team-a'])('gives nothing of the links to shared blobs (%s)', async (tenant) => {
    bench.store = (_req, res) => res.writeHead(200).end('content');
    const reply = await bench.pull(`/v2/${sharedBlobsRepository(tenant)}/blobs/${DIGEST}`);
    expect(reply.status).toBe(404);
    expect(JSON.parse(reply.body)).toMatchObject({ errors: [{ code: 'NAME_UNKNOWN' }] });
  });

  it('gives what belongs to a namespace to nobody but the runtime', async () => {
    bench.admitted = false;
    bench.store = (_req, res) => res.writeHead(200).end('content');
    const tenants = tenantPath('team-a', BLOB);
    const reply = await bench.pull(tenants);
    expect(reply.status).toBe(403);
    expect(JSON.parse(reply.body)).toMatchObject({ errors: [{ code: 'DENIED' }] });
    expect(await bench.pull(BLOB)).toMatchObject({ status: 200 });
    bench.admitted = true;
    expect(await bench.pull(tenants)).toMatchObject({ status: 200 });
  });

  it.each([
    ['no capability', BLOB.replace('/v2/', '/v2/team-a.tenant/')],
    ['one that was guessed', BLOB.replace('/v2/', `/v2/team-a.tenant.${'0'.repeat(26)}/`)],
    ['one of another namespace', tenantPath('team-a', BLOB, { tenant: 'team-b' })],
    ['one of another repository', tenantPath('team-a', BLOB, { repository: 'library/redis' })],
  ])('gives nothing of a namespace to a name with %s, not even to root', async (_, path) => {
    const asked: string[] = [];
    bench.store = (req, res) => {
      asked.push(req.url ?? '');
      res.writeHead(200).end('content');
    };
    expect(await bench.pull(path)).toMatchObject({ status: 403 });
    expect(asked).toEqual([]);
  });

  it('gives nothing of a namespace while it has no keys, and everything else', async () => {
    bench.store = (_req, res) => res.writeHead(200).end('content');
    const tenants = tenantPath('team-a', BLOB);
    expect(await bench.pull(tenants)).toMatchObject({ status: 200 });
    bench.keys = [];
    const reply = await bench.pull(tenants);
    expect(reply).toMatchObject({ status: 403, body: expect.stringContaining('not arrived') as unknown });
    expect(await bench.pull(BLOB)).toMatchObject({ status: 200 });
    bench.keys = [{ ...CAPABILITY_KEY, secret: Buffer.alloc(32, 2) }];
    expect(await bench.pull(tenants)).toMatchObject({ status: 403 });
    bench.keys = [CAPABILITY_KEY];
    expect(await bench.pull(tenants)).toMatchObject({ status: 200 });
  });

  it('shows the capability to nobody behind it', async () => {
    const asked = new Set<string>();
    bench.store = (req, res) => {
      asked.add(req.url ?? '');
      res.writeHead(200).end('content');
    };
    expect(await bench.pull(tenantPath('team-a', BLOB))).toMatchObject({ status: 200 });
    expect(asked).toEqual(new Set([BLOB.replace('/v2/', '/v2/team-a.tenant/')]));
  });

  it('answers a TLS ClientHello in plain HTTP, so that runtimes come back without TLS', async () => {
    const socket = connect(bench.port, '127.0.0.1');
    socket.write(Buffer.from('1603010200010001fc0303', 'hex'));
    const [data] = (await once(socket, 'data')) as [Buffer];
    expect(data.toString()).toMatch(/^HTTP\/1\.1 400 /);
    await once(socket, 'close');
  });

  it('lets the peer go when the client leaves', async () => {
    const left = new Promise<void>((resolve) => {
      bench.store = (_req, res) => {
        res.writeHead(200, { 'content-length': '1000' });
        res.write('begin');
        res.on('close', resolve);
      };
    });
    const request = httpRequest({ port: bench.port, host: '127.0.0.1', path: BLOB, agent: false }, (res) => {
      res.once('data', () => request.destroy());
      res.on('error', () => undefined);
    });
    request.on('error', () => undefined).end();
    await left;
  });
});
