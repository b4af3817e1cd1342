import { once } from 'node:events';
import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { get, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { connect as connectTls } from 'node:tls';
import { Agent, request } from 'undici';
import { fixedTls } from '../test/fakes/tls.ts';
import { FileValue } from './file-watch.ts';
import { healthServer, Readiness } from './health.ts';
import { httpServer, type HttpServerComponent } from './http-server.ts';
import { silentLogger } from './log.ts';
import { Metrics } from './metrics.ts';
import type { TlsKeyPair } from './tls-files.ts';
import { createCa, issueServerCertificate } from './x509.ts';

const LOOPBACK = [{ host: '127.0.0.1', port: 0 }] as const;
const { signal } = new AbortController();
const urlOf = (server: HttpServerComponent, path = '/') => `http://127.0.0.1:${server.bound[0]?.port}${path}`;

async function certificate(): Promise<FileValue<TlsKeyPair>> {
  const now = Date.now();
  return fixedTls(await issueServerCertificate(await createCa('test', 1, now), ['127.0.0.1'], 1, now));
}

describe('a server', () => {
  const serve = (handler: RequestListener, options = {}) =>
    httpServer({ name: 'test', handler, addresses: LOOPBACK, ...options });

  it('listens on every address it is given', async () => {
    const server = serve((_req, res) => res.end('here'), {
      addresses: [...LOOPBACK, { host: '::1', port: 0 }],
    });
    const running = await server.start(signal);
    for (const { address, port } of server.bound) {
      const host = address.includes(':') ? `[${address}]` : address;
      const answer = await request(`http://${host}:${port}/`, { dispatcher: new Agent({ pipelining: 0 }) });
      expect(await answer.body.text()).toBe('here');
    }
    await running.stop();
  });

  it('frees what it bound when one address is taken', async () => {
    const first = serve((_req, res) => res.end());
    const running = await first.start(signal);
    const taken = first.bound[0]?.port ?? 0;
    const second = serve((_req, res) => res.end(), {
      addresses: [...LOOPBACK, { host: '127.0.0.1', port: taken }],
    });
    await expect(second.start(signal)).rejects.toMatchObject({ code: 'EADDRINUSE' });
    const freed = connect(second.bound[0]?.port ?? 0, '127.0.0.1');
    await expect(once(freed, 'connect')).rejects.toMatchObject({ code: 'ECONNREFUSED' });
    await running.stop();
  });

  it('lets an answer under way finish before it has stopped, and takes nothing new', async () => {
    const arrived = Promise.withResolvers<ServerResponse>();
    const server = serve((_req, res) => {
      arrived.resolve(res);
    });
    const running = await server.start(signal);
    const answer = request(urlOf(server), { dispatcher: new Agent() });
    const response = await arrived.promise;
    const stopped = running.stop();
    await expect(once(connect(server.bound[0]?.port ?? 0, '127.0.0.1'), 'connect')).rejects.toMatchObject({
      code: 'ECONNREFUSED',
    });
    response.end('late');
    expect(await (await answer).body.text()).toBe('late');
    await stopped;
  });

  it('lets a client take in its own time what was written to the end', async () => {
    const whole = Buffer.alloc(32 * 1024 * 1024, 'part');
    const server = serve((_req, res) => res.end(whole));
    const running = await server.start(signal);
    const client = get(urlOf(server));
    const [answer] = (await once(client, 'response')) as [IncomingMessage];
    const stopped = running.stop();
    await delay(200); // it looks for idle connections meanwhile
    let size = 0;
    for await (const part of answer) size += (part as Buffer).length;
    expect(size).toBe(whole.length);
    await stopped;
  });

  it.each(['connects', 'handshakes'])('does not wait for a client that only %s', async (how) => {
    const tls = how === 'handshakes' ? await certificate() : undefined;
    const server = serve((_req, res) => res.end(), { drainMs: 60_000, ...(tls ? { tls } : {}) });
    const running = await server.start(signal);
    const port = server.bound[0]?.port ?? 0;
    const client = tls ? connectTls({ port, rejectUnauthorized: false }) : connect(port, '127.0.0.1');
    await once(client, tls ? 'secureConnect' : 'connect');
    const closed = once(client.on('error', () => undefined).resume(), 'close');
    const began = performance.now();
    await running.stop();
    await closed;
    expect(performance.now() - began).toBeLessThan(30_000);
  });

  it('cuts answers that take longer than the drain', async () => {
    const server = serve(() => undefined, { drainMs: 20 });
    const running = await server.start(signal);
    const client = get(urlOf(server));
    const ended = once(client, 'error');
    await once(client, 'finish');
    await running.stop();
    expect((await ended)[0]).toMatchObject({ code: 'ECONNRESET' });
  });

  it('sends callers away while it lingers', async () => {
    const server = serve((_req, res) => res.end('still here'), { lingerMs: 200 });
    const running = await server.start(signal);
    expect((await request(urlOf(server))).headers['connection']).toBe('keep-alive');
    const stopped = running.stop();
    const answer = await request(urlOf(server));
    expect([await answer.body.text(), answer.headers['connection']]).toEqual(['still here', 'close']);
    await stopped;
  });
});

describe('the health server', () => {
  it('tells what is missing, and the metrics', async () => {
    const stopping = new AbortController();
    const metrics = new Metrics('test').collectRuntime();
    metrics.counter('things_total', 'Things.', ['kind']).inc({ kind: 'a' });
    metrics.gauge('depth', 'Depth.', [], (gauge) => {
      gauge.set(7);
    });
    const readiness = new Readiness(stopping.signal);
    let missing: string | undefined = 'not yet';
    readiness.add('cache', () => missing);
    const server = healthServer({ address: LOOPBACK[0], metrics, readiness });
    const running = await server.start(signal);
    const ask = async (path: string) => {
      const { statusCode, body } = await request(urlOf(server, path));
      return [statusCode, await body.text()] as const;
    };
    expect(await ask('/healthz')).toEqual([200, 'ok\n']);
    expect(await ask('/readyz')).toEqual([503, '{"ready":false,"problems":{"cache":"not yet"}}']);
    missing = undefined;
    expect(await ask('/readyz')).toEqual([200, '{"ready":true,"problems":{}}']);
    stopping.abort();
    expect((await ask('/readyz'))[0]).toBe(503);
    const [, text] = await ask('/metrics');
    expect(text).toContain('larder_things_total{kind="a",process="test"} 1');
    expect(text).toContain('larder_depth{process="test"} 7');
    expect(text).toContain('process_resident_memory_bytes');
    await running.stop();
  });
});

describe('a value of mounted files', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'larder-files-'));
  });
  afterEach(async () => {
    await rm(folder, { recursive: true });
  });

  /** Swaps the whole content at once, as the kubelet does. */
  async function mount(version: string, text: string): Promise<void> {
    await mkdir(join(folder, version));
    await writeFile(join(folder, version, 'value'), text);
    await symlink(version, join(folder, '..data_tmp'));
    await rename(join(folder, '..data_tmp'), join(folder, '..data'));
  }

  it('follows a swap, and keeps the last good value', async () => {
    await mount('..1', '1');
    await symlink('..data/value', join(folder, 'value'));
    const value = await FileValue.read({
      paths: [join(folder, 'value'), join(folder, 'absent')],
      log: silentLogger,
      parse: ([content, absent]) => {
        expect(absent).toBeUndefined();
        return JSON.parse(content?.toString() ?? '') as number;
      },
    });
    const running = await value.component('value').start(signal);
    const next = new Promise((resolve) => value.subscribe(resolve));
    await mount('..2', '2');
    expect(await next).toBe(2);
    await mount('..3', 'broken');
    await value.refresh();
    expect(value.get()).toBe(2);
    await running.stop();
  });

  it('cannot be had from files that cannot be parsed', async () => {
    const parse = () => {
      throw new Error('nonsense');
    };
    await expect(
      FileValue.read({ paths: [join(folder, 'absent')], log: silentLogger, parse }),
    ).rejects.toThrow('nonsense');
  });
});
