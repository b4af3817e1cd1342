/**
 * A registry that attacks: every attempt ends with an error, and nothing is told, asked or stored that should
 * not be.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { Copier } from '../../copier/compose.ts';
import { copierConfig } from '../../copier/config.ts';
import { loadConfig } from '../../platform/config.ts';
import { createLogger } from '../../platform/log.ts';
import { OCI_MANIFEST } from '../../registry/core/media-types.ts';
import { parsePlatform } from '../../registry/core/platform.ts';
import { parseReference } from '../../registry/core/reference.ts';
import { testImage, testManifest } from '../fakes/images.ts';
import { FakeRegistry } from '../fakes/registry.ts';

const TENANT = 'team-a';
const PASSWORD = 'p4ssw0rd-of-team-a';
const REFRESH_TOKEN = 'refresh-token-of-team-a';
const PAIR = Buffer.from(`user:${PASSWORD}`).toString('base64');
const SIGNATURE = 's1gnature-of-a-url';
const SECRETS = [PASSWORD, PAIR, REFRESH_TOKEN, SIGNATURE];
const secretImage = testImage(['what only team-a may read']);

let hostile: FakeRegistry;
/** Another origin, which a person who attacks would read the log of. */
let collector: FakeRegistry;
let store: FakeRegistry;
let folder: string;
let stop: AbortController;
let copier: Copier;
let log: string;
let secret: object;

/** The collector under a name that is not the hostile registry's. */
const collectorUrl = (): string => collector.origin.replace('127.0.0.1', 'localhost');

beforeEach(async () => {
  [hostile, collector, store] = [
    await FakeRegistry.start(),
    await FakeRegistry.start(),
    await FakeRegistry.start(),
  ];
  folder = await mkdtemp(join(tmpdir(), 'larder-hostile-'));
  stop = new AbortController();
  log = '';
  secret = { username: 'user', password: PASSWORD };
  const upstreams = [
    { host: hostile.host, plainHttp: true, allowAddresses: ['127.0.0.1'] },
    // So that nothing but the rules on trial keeps anybody from it.
    { host: new URL(collectorUrl()).host, plainHttp: true, allowAddresses: ['127.0.0.1', '::1'] },
  ];
  copier = new Copier({
    settings: loadConfig(copierConfig, {
      LARDER_STORE_READER_URL: store.origin,
      LARDER_STORE_WRITER_URL: store.origin,
      LARDER_SPOOL_FOLDER: folder,
      LARDER_RESPONSE_DEADLINE: '2s',
    }),
    upstreamSettings: { get: () => upstreams },
    policies: [],
    secrets: {
      readSecret: (namespace) => Promise.resolve(namespace === TENANT ? pullSecret() : undefined),
      secretNames: () => Promise.resolve(['regcred']),
    },
    log: createLogger({ process: 'copier', level: 'debug', stream: memory() }),
    signal: stop.signal,
  });
});

afterEach(async () => {
  stop.abort();
  await copier.close();
  await Promise.all([hostile.close(), collector.close(), store.close()]);
  await rm(folder, { recursive: true, force: true });
});

function memory(): Writable {
  return new Writable({
    write: (chunk: Buffer, _encoding, done) => {
      log += chunk.toString();
      done();
    },
  });
}

function pullSecret(): object {
  const json = JSON.stringify({ auths: { [hostile.host]: secret } });
  const data = { '.dockerconfigjson': Buffer.from(json).toString('base64') };
  return { type: 'kubernetes.io/dockerconfigjson', data };
}

async function copy(image = `${hostile.host}/acme/app:1`, tenant = TENANT): Promise<unknown> {
  const order = {
    image: parseReference(image),
    tenant,
    platforms: [parsePlatform('linux/amd64')],
    pullSecrets: [],
  };
  return copier.orders.copy(order, () => undefined, AbortSignal.timeout(10_000));
}

function challenge(response: ServerResponse, scheme: string): true {
  response.writeHead(401, { 'www-authenticate': scheme }).end();
  return true;
}

function redirect(response: ServerResponse, location: string): true {
  response.writeHead(307, { location }).end();
  return true;
}

/** Asks for Basic credentials, and goes on with them. */
function withBasic(
  serve: (request: IncomingMessage, response: ServerResponse) => boolean,
): (request: IncomingMessage, response: ServerResponse) => boolean {
  return (request, response) =>
    request.headers.authorization === undefined
      ? challenge(response, 'Basic realm="x"')
      : serve(request, response);
}

function everythingShownTo(registry: FakeRegistry): string {
  return JSON.stringify(
    registry.requests.map(({ path, query, authorization }) => [path, query.toString(), authorization]),
  );
}

function nothingLeaked(outcome: unknown): void {
  const told = JSON.stringify(outcome) + log + everythingShownTo(collector);
  for (const each of SECRETS) expect(told).not.toContain(each);
}

describe('credentials are shown to nobody else', () => {
  it('when the registry redirects a manifest', async () => {
    hostile.intercept = withBasic((_request, response) => redirect(response, `${collectorUrl()}/v2/`));
    const outcome = await copy();
    expect(outcome).toMatchObject({ type: 'failed' });
    expect(hostile.requests.at(-1)?.authorization).toBe(`Basic ${PAIR}`);
    expect(collector.requests.map(({ authorization }) => authorization)).toEqual([undefined]);
    nothingLeaked(outcome);
  });

  it.each([
    ['of another host', () => `${collectorUrl()}/token`],
    ['that only looks alike', () => `http://${hostile.host}@${new URL(collectorUrl()).host}/token`],
    ['of no scheme for tokens', () => 'file:///etc/passwd'],
  ])('when the registry names a realm %s', async (_, realm) => {
    hostile.intercept = (_request, response) => challenge(response, `Bearer realm="${realm()}",service="x"`);
    const outcome = await copy();
    expect(outcome).toMatchObject({ type: 'failed', reason: 'Forbidden' });
    expect(collector.requests).toEqual([]);
    nothingLeaked(outcome);
  });

  it.each([
    ['a password', { username: 'user', password: PASSWORD }],
    ['a refresh token', { identitytoken: REFRESH_TOKEN }],
  ])('when its token server redirects whoever brings %s', async (_, given) => {
    secret = given;
    hostile.intercept = (request, response) =>
      request.url?.startsWith('/token') === true
        ? redirect(response, `${collectorUrl()}/token`)
        : challenge(response, `Bearer realm="${hostile.origin}/token"`);
    const outcome = await copy();
    expect(outcome).toMatchObject({ type: 'failed' });
    expect(hostile.count('GET', '/token') + hostile.count('POST', '/token')).toBeGreaterThan(0);
    nothingLeaked(outcome);
  });

  it('when it repeats them in what it says', async () => {
    hostile.intercept = withBasic((request, response) => {
      const { authorization = '' } = request.headers;
      const clear = Buffer.from(authorization.slice('Basic '.length), 'base64').toString();
      const message = `${authorization} ${clear} https://user:${PASSWORD}@x/?sig=${SIGNATURE}`;
      response.writeHead(403).end(JSON.stringify({ errors: [{ code: 'DENIED', message }] }));
      return true;
    });
    const outcome = await copy();
    expect(outcome).toMatchObject({ type: 'failed', reason: 'Forbidden' });
    nothingLeaked(outcome);
  });

  it('when a signed URL that it gave does not work', async () => {
    hostile.repository('acme/app').add(secretImage, '1');
    hostile.intercept = (request, response) =>
      request.url?.includes('/blobs/') === true &&
      redirect(response, `${collector.origin}/gone?X-Signature=${SIGNATURE}`);
    const outcome = await copy();
    expect(outcome).toMatchObject({ type: 'failed' });
    expect(JSON.stringify(outcome) + log).not.toContain(SIGNATURE);
  });
});

describe('no address of this machine or its cloud is asked', () => {
  it.each([
    'http://169.254.169.254/latest/meta-data/',
    'http://[fe80::1]/',
    'http://[fd00:ec2::254]/latest/',
    'http://0.0.0.0:PORT/',
    'http://127.1:PORT/',
    'http://2130706433:PORT/',
    'http://[::1]:PORT/',
    'http://[::ffff:127.0.0.1]:PORT/',
    'http://[::127.0.0.1]:PORT/',
    'http://[64:ff9b::7f00:1]:PORT/',
    'http://[2002:7f00:1::]:PORT/',
  ])('by a redirect to %s', async (url) => {
    const location = url.replace('PORT', new URL(collector.origin).port);
    hostile.intercept = (_request, response) => redirect(response, location);
    expect(await copy()).toMatchObject({ type: 'failed', reason: 'Forbidden' });
    expect(collector.requests).toEqual([]);
  });

  it('by a name that leads there', async () => {
    const { port } = new URL(store.origin);
    expect(await copy(`localhost:${port}/acme/app:1`)).toMatchObject({ type: 'failed', reason: 'Forbidden' });
    expect(store.requests.filter(({ path }) => path.startsWith('/v2/acme/'))).toEqual([]);
  });
});

describe('no time and no memory is taken', () => {
  it('by redirects without end', async () => {
    let hops = 0;
    hostile.intercept = (_request, response) => redirect(response, `/v2/?hop=${hops++}`);
    expect(await copy()).toMatchObject({ type: 'failed', reason: 'UpstreamError' });
    expect(hostile.requests.length).toBeLessThanOrEqual(6);
  });

  it.each([
    ['an error', 500, {}],
    ['a manifest', 200, { 'content-type': OCI_MANIFEST }],
  ])('by %s without end', async (_, status, headers) => {
    let sent = 0;
    hostile.intercept = (_request, response) => {
      response.writeHead(status, headers);
      const write = (): void => {
        while (!response.destroyed && response.write(Buffer.alloc(65_536, 0x20))) sent += 65_536;
        response.once('drain', write);
      };
      write();
      return true;
    };
    expect(await copy()).toMatchObject({ type: 'failed' });
    expect(sent).toBeLessThan(32 * 2 ** 20);
  });
});

describe('nothing is had that is not the registry’s to give', () => {
  const [layer] = secretImage.root.manifest.kind === 'image' ? secretImage.root.manifest.layers : [];

  it.each([404, 200])(
    'a blob of another namespace, which it claims to have (GET answers %d)',
    async (status) => {
      const name = hostile.host.replace(':', '-');
      store.repository(`${TENANT}.tenant/${name}/acme/app`).add(secretImage, '1');
      const { config } = secretImage.root.manifest as { config?: object };
      hostile.repository('evil/app').manifests.set(secretImage.root.digest, {
        bytes: secretImage.root.bytes,
        mediaType: secretImage.root.manifest.mediaType,
      });
      hostile.repository('evil/app').tags.set('1', secretImage.root.digest);
      hostile.intercept = (request, response) => {
        if (request.url?.includes('/blobs/') !== true) return false;
        const length = { 'content-length': layer?.size ?? 0 };
        if (request.method === 'HEAD') response.writeHead(200, length).end();
        else if (status === 200) response.writeHead(200, length).end(Buffer.alloc(layer?.size ?? 0));
        else response.writeHead(status).end();
        return true;
      };
      expect(config).toBeDefined();
      expect(await copy(`${hostile.host}/evil/app:1`, 'team-b')).toMatchObject({ type: 'failed' });
      const theirs = store.repository(`team-b.tenant/${name}/evil/app`);
      expect({ blobs: theirs.blobs.size, manifests: theirs.manifests.size }).toEqual({
        blobs: 0,
        manifests: 0,
      });
    },
  );

  it('what a manifest says is to be had at other URLs', async () => {
    const image = testImage(['a layer']);
    const [blob] = image.root.manifest.kind === 'image' ? image.root.manifest.layers : [];
    const { config } = image.root.manifest as { config?: object };
    const layers = [{ ...blob, urls: [`${collectorUrl()}/layer`] }];
    const root = testManifest({ config, layers }, OCI_MANIFEST);
    hostile.repository('acme/app').add({ ...image, root, manifests: [root], blobs: new Map() }, '1');
    await copy();
    expect(collector.requests).toEqual([]);
  });
});
