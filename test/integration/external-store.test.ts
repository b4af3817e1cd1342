/** A user's registry in place of the store: below a path, with a login of its token server or its own. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { exportJWK, generateKeyPair } from 'jose';
import { buildRegistry } from '../../build/programs.ts';
import { CircuitBreaker } from '../../platform/circuit-breaker.ts';
import { systemClock } from '../../platform/clock.ts';
import { silentLogger } from '../../platform/log.ts';
import { Forwarder } from '../../proxy/origins/forward.ts';
import { pullHandler } from '../../proxy/server.ts';
import { storeOrigin } from '../../proxy/origins/store-origin.ts';
import { digestOf } from '../../registry/core/digest.ts';
import { freeLoopbackPort } from '../../platform/ports.ts';
import { run } from '../cluster/command.ts';
import { waitFor } from '../cluster/wait.ts';
import { CopierBench } from '../fakes/copier-bench.ts';
import { testImage } from '../fakes/images.ts';
import { tokenHandler, type TokenLogEntry } from '../members/token-server.ts';
import { readFileSync } from 'node:fs';

const PROJECT = 'house/cache';
const layer = Buffer.alloc(500_000, 'layer');
const first = testImage([layer, 'first']);
const second = testImage([layer, 'second']);

/** How a registry wants to be logged in to, prepared in a folder. */
type Door = (folder: string) => Promise<{ auth: object; close: () => void; log?: string }>;

const MEMBERS = {
  reader: { password: 'may-read', reads: [`${PROJECT}/`] },
  writer: { password: 'may-write', reads: [], writes: [`${PROJECT}/`] },
};

const tokens: Door = async (folder) => {
  const { privateKey: key, publicKey } = await generateKeyPair('ES256');
  const [issuer, service, keyId] = ['house', 'house-registry', 'house-key'];
  const jwks = join(folder, 'jwks.json');
  const jwk = { ...(await exportJWK(publicKey)), kid: keyId, alg: 'ES256', use: 'sig' };
  await writeFile(jwks, JSON.stringify({ keys: [jwk] }));
  const membersFile = join(folder, 'members.json');
  const logFile = join(folder, 'tokens.log');
  await writeFile(membersFile, JSON.stringify(MEMBERS));
  const server = createServer(tokenHandler({ membersFile, logFile, key, keyId, issuer, service }));
  const port = await listen(server);
  const realm = `http://127.0.0.1:${port}/token`;
  return {
    auth: { token: { realm, service, issuer, jwks, signingalgorithms: ['ES256'] } },
    close: () => server.close(),
    log: logFile,
  };
};

const passwords: Door = async (folder) => {
  const path = join(folder, 'htpasswd');
  const script = 'print crypt($ARGV[0], q($2y$04$) . "larderlarderlarderlard")';
  const lines = Object.entries(MEMBERS).map(async ([name, { password }]) => {
    return `${name}:${(await run(['perl', '-e', script, password])).stdout}\n`;
  });
  await writeFile(path, (await Promise.all(lines)).join(''));
  return { auth: { htpasswd: { realm: 'house', path } }, close: () => undefined };
};

async function listen(server: Server): Promise<number> {
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return (server.address() as AddressInfo).port;
}

describe.each<[string, Door]>([
  ['whose token server takes the login', tokens],
  ['that takes the login itself', passwords],
])('an outside registry %s', (_, open) => {
  let folder: string;
  let door: Awaited<ReturnType<Door>>;
  let registry: ChildProcess;
  let url: string;
  let bench: CopierBench;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'larder-house-'));
    door = await open(folder);
    for (const [name, { password }] of Object.entries(MEMBERS)) await writeLogin(name, password);
    const port = await freeLoopbackPort();
    const config = {
      version: '0.1',
      log: { level: 'error', accesslog: { disabled: true } },
      storage: { filesystem: { rootdirectory: join(folder, 'data') }, delete: { enabled: true } },
      http: { addr: `127.0.0.1:${port}`, relativeurls: true },
      auth: door.auth,
    };
    await writeFile(join(folder, 'config.json'), JSON.stringify(config));
    registry = spawn(await buildRegistry(), ['serve', join(folder, 'config.json')], { stdio: 'ignore' });
    const origin = `http://127.0.0.1:${port}`;
    const answers = async (): Promise<boolean> => (await fetch(`${origin}/v2/`)).status === 401;
    await waitFor('the registry answers', answers, { deadlineMs: 20_000, intervalMs: 20 });
    url = `${origin}/${PROJECT}`;
  }, 600_000);

  afterAll(async () => {
    const exited = once(registry, 'exit');
    registry.kill();
    await exited;
    door.close();
    await rm(folder, { recursive: true });
  });

  beforeEach(async () => {
    bench = await CopierBench.start({
      LARDER_STORE_READER_URL: url,
      LARDER_STORE_READER_LOGIN: join(folder, 'reader'),
      LARDER_STORE_WRITER_URL: url,
      LARDER_STORE_WRITER_LOGIN: join(folder, 'writer'),
    });
    bench.offer(first, '1', 'acme/first');
    bench.offer(second, '1', 'acme/second');
  });

  afterEach(() => bench.stop());

  async function writeLogin(name: string, password: string): Promise<void> {
    await mkdir(join(folder, name), { recursive: true });
    await writeFile(join(folder, name, 'username'), name);
    await writeFile(join(folder, name, 'password'), password);
  }

  it('keeps images below its path, and links the layers that they share', async () => {
    expect(await bench.copy('acme/first')).toMatchObject({ type: 'done' });
    expect(await bench.copy('acme/second')).toMatchObject({ type: 'done' });
    expect(bench.upstream.count('GET', digestOf(layer))).toBe(1);
    const image = `${bench.upstream.host}/acme/first:1`;
    expect((await bench.order('verify', { image })).lines).toMatchObject([{ complete: true }]);
    const link = join(
      folder,
      'data/docker/registry/v2/repositories',
      PROJECT,
      bench.name(undefined, 'acme/first'),
    );
    expect((await run(['ls', join(link, '_manifests/tags')])).stdout.trim()).toBe('1');
  });

  it('gives them to nodes, in whole and in part', async () => {
    await bench.copy('acme/first');
    const proxy = createServer(
      pullHandler({
        forwarder: new Forwarder({
          origins: {
            store: storeOrigin({
              url: new URL(url),
              login: join(folder, 'reader'),
              deadlineMs: 5_000,
              upstreams: { get: () => [] },
            }),
          },
          breaker: new CircuitBreaker({
            failureThreshold: 1,
            openMs: 1_000,
            maxOpenMs: 1_000,
            probeMs: 1_000,
          }),
          now: systemClock.monotonic,
          onFailure: () => undefined,
        }),
        metrics: { observe: () => undefined },
        log: silentLogger,
        silenceMs: 5_000,
        capabilities: { get: () => [] },
        isRuntime: () => Promise.resolve(true),
      }),
    );
    const origin = `http://127.0.0.1:${await listen(proxy)}/v2/${bench.name(undefined, 'acme/first')}`;
    const accept = first.root.manifest.mediaType;
    const manifest = await fetch(`${origin}/manifests/1`, { headers: { accept } });
    expect(Buffer.from(await manifest.arrayBuffer()).equals(Buffer.from(first.root.bytes))).toBe(true);
    const blob = `${origin}/blobs/${digestOf(layer)}`;
    expect(Buffer.from(await (await fetch(blob)).arrayBuffer()).equals(layer)).toBe(true);
    for (const [headers, status] of [
      [{ range: 'bytes=10-19' }, 206],
      [{ range: 'bytes=10-19', 'if-range': `"${digestOf(layer)}"` }, 206],
      [{ range: 'bytes=10-19', 'if-range': '"other"' }, 200],
      [{ range: `bytes=${layer.length}-` }, 416],
    ] as const) {
      const part = await fetch(blob, { headers });
      await part.arrayBuffer();
      expect([headers, part.status]).toEqual([headers, status]);
    }
    proxy.closeAllConnections();
    proxy.close();
  });

  it('loses them when that is ordered', async () => {
    await bench.copy('acme/first');
    const image = `${bench.upstream.host}/acme/first:1`;
    expect((await bench.order('delete', { image })).status).toBe(204);
    expect((await bench.order('verify', { image })).lines).toMatchObject([{ complete: false }]);
  });

  it('takes a password that has been changed at once', async () => {
    await writeLogin('writer', 'wrong');
    expect(await bench.copy('acme/first')).toMatchObject({ type: 'failed', reason: 'StoreUnavailable' });
    await writeLogin('writer', MEMBERS.writer.password);
    expect(await bench.copy('acme/first')).toMatchObject({ type: 'done' });
  });

  it('is asked for few tokens: one for each repository and right', async () => {
    if (door.log === undefined) return;
    const before = entries(door.log).length;
    await bench.copy('acme/first');
    const asked = entries(door.log).length;
    // Pull and push: for the repository, for the one of shared blobs, and for both at once.
    expect(asked - before).toBeLessThanOrEqual(5);
    await bench.copy('acme/first');
    expect(entries(door.log).length).toBe(asked);
  });
});

function entries(log: string): TokenLogEntry[] {
  return readFileSync(log, 'utf8')
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as TokenLogEntry);
}
