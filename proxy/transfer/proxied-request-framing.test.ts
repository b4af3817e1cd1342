/**
 * What a client puts around its request must not reach a peer, whose connections are shared by all clients.
 */
import { once } from 'node:events';
import { Agent, createServer, type IncomingHttpHeaders, type Server } from 'node:http';
import { connect, type AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { CircuitBreaker } from '../../platform/circuit-breaker.ts';
import { systemClock } from '../../platform/clock.ts';
import { httpServer, type HttpServerComponent } from '../../platform/http-server.ts';
import { silentLogger } from '../../platform/log.ts';
import type { Running } from '../../platform/run.ts';
import { ask } from '../../test/fakes/ask.ts';
import { Forwarder } from '../origins/forward.ts';
import { Peer } from '../origins/peer.ts';
import { PeerOrigin } from '../origins/peer-origin.ts';
import { pullHandler } from '../server.ts';

const MANIFEST = '/v2/docker.io/library/nginx/manifests/1';
const HIDDEN = '/v2/team-a.tenant/ghcr.io/acme/app/manifests/1';
const HIDDEN_REQUEST = `GET ${HIDDEN} HTTP/1.1\r\nHost: peer\r\n\r\n`;
const DEADLINES = { signMs: 1_000, headMs: 1_000 };

let peer: Server;
let agent: Agent;
let proxy: HttpServerComponent;
let running: Running;
let seen: { readonly url: string | undefined; readonly headers: IncomingHttpHeaders }[];

beforeEach(async () => {
  seen = [];
  peer = createServer((request, response) => {
    seen.push({ url: request.url, headers: request.headers });
    response.end(`answer to ${request.url ?? ''}`);
  });
  await once(peer.listen(0, '127.0.0.1'), 'listening');
  const target = new URL(`http://127.0.0.1:${(peer.address() as AddressInfo).port}`);
  // One connection, which every request to the peer uses.
  agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const credentials = {
    authorization: () => Promise.resolve(undefined),
    renew: () => Promise.resolve(undefined),
  };
  const copier = new Peer({ name: 'copier', target, deadlines: DEADLINES, agent: () => agent, credentials });
  proxy = httpServer({
    name: 'pull',
    addresses: [{ host: '127.0.0.1', port: 0 }],
    handler: pullHandler({
      forwarder: new Forwarder({
        origins: { copier: new PeerOrigin('copier', copier) },
        breaker: new CircuitBreaker({ failureThreshold: 9, openMs: 1, maxOpenMs: 1, probeMs: 1 }),
        now: systemClock.monotonic,
        onFailure: () => undefined,
      }),
      metrics: { observe: () => undefined },
      log: silentLogger,
      silenceMs: 1_000,
      capabilities: { get: () => [] },
      isRuntime: () => Promise.resolve(false),
    }),
  });
  running = await proxy.start(new AbortController().signal);
});

afterEach(async () => {
  agent.destroy();
  await running.stop();
  peer.close();
});

function port(): number {
  return proxy.bound[0]?.port ?? 0;
}

/** Writes the bytes as they are, and gives all that comes back until the proxy closes the connection. */
async function sendRaw(bytes: string): Promise<string> {
  const socket = connect(port(), '127.0.0.1');
  socket.write(bytes);
  return text(socket);
}

describe('a request with a body', () => {
  it.each([
    ['of a length', 'GET', `Content-Length: ${HIDDEN_REQUEST.length}\r\n\r\n${HIDDEN_REQUEST}`],
    ['of a length', 'HEAD', `Content-Length: ${HIDDEN_REQUEST.length}\r\n\r\n${HIDDEN_REQUEST}`],
    [
      'in chunks',
      'GET',
      `Transfer-Encoding: chunked\r\n\r\n${HIDDEN_REQUEST.length.toString(16)}\r\n${HIDDEN_REQUEST}\r\n0\r\n\r\n`,
    ],
  ])('%s is refused (%s), and nothing of it reaches the peer', async (_, method, rest) => {
    const answer = await sendRaw(`${method} ${MANIFEST} HTTP/1.1\r\nHost: proxy\r\n${rest}`);
    // Whoever comes next on the peer's connection gets its own answer.
    const next = MANIFEST.replace('nginx', 'redis');
    expect((await ask(port(), next)).body.toString()).toBe(`answer to ${next}`);
    expect(seen.map(({ url }) => url)).toEqual([next]);
    expect(answer).toMatch(/^HTTP\/1\.1 400 /);
    expect(answer).toMatch(/\r\nconnection: close\r\n/i);
    if (method === 'GET') expect(answer).toContain('{"errors":[{"code":"UNSUPPORTED"');
    expect(answer).not.toContain('answer to');
  });

  it('of no bytes is none', async () => {
    const { status } = await ask(port(), MANIFEST, { headers: { 'content-length': '0' } });
    expect(status).toBe(200);
    expect(seen[0]?.headers).not.toHaveProperty('content-length');
  });
});

it('a request that asks for another protocol is a plain request to the peer', async () => {
  const answer = await sendRaw(
    `GET ${MANIFEST} HTTP/1.1\r\nHost: proxy\r\nConnection: Upgrade, close\r\nUpgrade: h2c\r\nExpect: 100-continue\r\n\r\n`,
  );
  expect(answer).toContain(`answer to ${MANIFEST}`);
  expect(seen).toHaveLength(1);
  expect(seen[0]?.headers.connection).toBe('keep-alive');
  for (const name of ['upgrade', 'expect', 'transfer-encoding', 'content-length'])
    expect(seen[0]?.headers).not.toHaveProperty(name);
});
