import { once } from 'node:events';
import { createServer, type RequestListener, type Server, type ServerResponse } from 'node:http';
import { Agent, createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { ask, type Reply } from '../../test/fakes/ask.ts';
import { createCa, issueServerCertificate } from '../../platform/x509.ts';
import { LastSign, NoSignOfLife } from './head-deadline.ts';
import { RequestProxy } from './proxied-request.ts';
import { relay } from './relay.ts';

const NAME = 'copier.test';
const PATH = '/v2/docker.io/library/nginx/manifests/1';
const SIGN_MS = 300;
const HEAD_MS = 20_000;

describe('a request to a peer over TLS', () => {
  let peer: Server;
  let front: Server;
  let agent: Agent;
  let answer: RequestListener;
  let failure: unknown;
  const proxy = new RequestProxy();

  beforeEach(async () => {
    failure = undefined;
    const ca = await createCa('test', 1, Date.now());
    const tls = await issueServerCertificate(ca, [NAME], 1, Date.now());
    peer = createTlsServer(tls, (request, response) => {
      answer(request, response);
    });
    await once(peer.listen(0, '127.0.0.1'), 'listening');
    agent = new Agent({ keepAlive: true, ca: ca.cert, servername: NAME });
    front = createServer((_, response) => {
      pass(response).catch((error: unknown) => {
        failure = error;
        response.destroy();
      });
    });
    await once(front.listen(0, '127.0.0.1'), 'listening');
  });

  afterEach(() => {
    agent.destroy();
    for (const server of [peer, front]) {
      server.closeAllConnections();
      server.close();
    }
  });

  async function pass(response: ServerResponse): Promise<void> {
    const got = await proxy.send({
      method: 'GET',
      target: new URL(`https://127.0.0.1:${portOf(peer)}`),
      path: PATH,
      headers: { accept: 'text/plain' },
      agent,
      response,
      peer: 'copier',
      deadlines: { signMs: SIGN_MS, headMs: HEAD_MS },
      lastSign: new LastSign(),
    });
    response.writeHead(got.status);
    await relay(got, response, HEAD_MS);
  }

  /** Any request: what goes to the peer is not taken from it. */
  function pull(): Promise<Reply> {
    return ask(portOf(front), '/');
  }

  it('is made of what it is given, and keeps its connection', async () => {
    const sockets = new Set<unknown>();
    answer = ({ url, headers, socket }, response) => {
      sockets.add(socket);
      response.end(JSON.stringify({ url, headers }));
    };
    for (let turn = 0; turn < 3; turn += 1) {
      const { url, headers } = JSON.parse((await pull()).body.toString()) as Record<string, unknown>;
      expect(url).toBe(PATH);
      expect(headers).toEqual({
        accept: 'text/plain',
        connection: 'keep-alive',
        host: `127.0.0.1:${portOf(peer)}`,
      });
    }
    expect(sockets.size).toBe(1);
  });

  it('does not wait for a peer that gives no sign of life', async () => {
    answer = (_, response) => response.end('at once');
    expect((await pull()).body.toString()).toBe('at once');
    answer = () => undefined;
    await expect(pull()).rejects.toThrow();
    expect(failure).toBeInstanceOf(NoSignOfLife);
  });
});

function portOf(server: Server): number {
  return (server.address() as AddressInfo).port;
}
