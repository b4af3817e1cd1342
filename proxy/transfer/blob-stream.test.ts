import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import {
  Agent,
  createServer as createHttpServer,
  get,
  type IncomingMessage,
  type Server as HttpServer,
} from 'node:http';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { createServer as createTlsServer } from 'node:tls';
import { createCa, issueServerCertificate } from '../../platform/x509.ts';
import { requestBlob } from './blob-stream.ts';
import { LastSign } from './head-deadline.ts';

const NAME = 'copier.test';
const SILENCE_MS = 200;
/** For peers that answer, however busy the machine is. */
const LONG_MS = 20_000;
const SIZE = 5_000_003;
const CONTENT = randomBytes(SIZE);
const HEAD = `HTTP/1.1 200 OK\r\nContent-Length: ${SIZE}\r\n\r\n`;

/**
 * A peer that does with each connection what a test says, and a server that sends its clients what the peer
 * gives.
 */
class Chain {
  peer: (socket: Socket) => void = () => undefined;
  failure: unknown;
  /** How long the peer may be silent. */
  silenceMs = LONG_MS;
  beforeSending: () => Promise<void> = () => Promise.resolve();
  readonly #peer: Server;
  readonly #front: HttpServer;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1 });

  /** @param tls of the peer; absent: plain HTTP */
  constructor(tls: { readonly cert: string; readonly key: string; readonly ca: string } | undefined) {
    const onConnection = (socket: Socket): void => {
      socket.on('error', () => undefined);
      socket.once('data', () => {
        this.peer(socket);
      });
    };
    this.#peer = tls === undefined ? createServer(onConnection) : createTlsServer(tls, onConnection);
    this.#front = createHttpServer((_request, response) => {
      const gone = new AbortController();
      response.on('close', () => {
        gone.abort(new Error('gone'));
      });
      const target = new URL(`${tls === undefined ? 'http' : 'https'}://127.0.0.1:${portOf(this.#peer)}`);
      requestBlob({
        target,
        ...(tls === undefined ? {} : { tls: { ca: tls.ca, servername: NAME } }),
        path: '/blob',
        headers: {},
        peer: 'store',
        deadlines: { signMs: this.silenceMs, headMs: 3 * this.silenceMs },
        lastSign: new LastSign(),
        signal: gone.signal,
      })
        .then(async ({ status, stream }) => {
          response.writeHead(status, { 'content-length': stream.length });
          await this.beforeSending();
          await stream.sendTo(response, this.silenceMs);
        })
        .catch((error: unknown) => {
          this.failure = error;
          response.destroy();
        });
    });
  }

  async start(): Promise<this> {
    await once(this.#peer.listen(0, '127.0.0.1'), 'listening');
    await once(this.#front.listen(0, '127.0.0.1'), 'listening');
    return this;
  }

  async get(): Promise<IncomingMessage> {
    const request = get({ host: '127.0.0.1', port: portOf(this.#front), agent: this.#agent });
    const [response] = (await once(request, 'response')) as [IncomingMessage];
    return response.on('error', () => undefined);
  }

  stop(): void {
    this.#agent.destroy();
    this.#front.closeAllConnections();
    this.#front.close();
    this.#peer.close();
  }
}

function portOf(server: Server | HttpServer): number {
  return (server.address() as AddressInfo).port;
}

async function digestOf(response: IncomingMessage, pauseMs = 0): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of response as AsyncIterable<Buffer>) {
    hash.update(chunk);
    if (pauseMs > 0) await delay(pauseMs);
  }
  return hash.digest('hex');
}

describe.each(['plain HTTP', 'TLS'])('a blob straight from socket to socket, by %s', (scheme) => {
  const expected = createHash('sha256').update(CONTENT).digest('hex');
  let tls: ConstructorParameters<typeof Chain>[0];
  let chain: Chain;

  beforeAll(async () => {
    if (scheme !== 'TLS') return;
    const ca = await createCa('larder', 1, Date.now());
    tls = { ...(await issueServerCertificate(ca, [NAME], 1, Date.now())), ca: ca.cert };
  });

  beforeEach(async () => {
    chain = await new Chain(tls).start();
  });

  afterEach(() => {
    chain.stop();
  });

  it.each([
    ['with the head', (socket: Socket) => socket.end(Buffer.concat([Buffer.from(HEAD), CONTENT]))],
    [
      'after a head in pieces',
      async (socket: Socket) => {
        for (const piece of [HEAD.slice(0, 7), HEAD.slice(7, -2), HEAD.slice(-2)]) {
          socket.write(piece);
          await delay(5);
        }
        socket.end(CONTENT);
      },
    ],
    [
      'with more than was announced',
      (socket: Socket) => socket.end(Buffer.concat([Buffer.from(HEAD), CONTENT, CONTENT])),
    ],
  ])('arrives byte for byte when it comes %s', async (_, peer) => {
    chain.peer = (socket) => void peer(socket);
    expect(await digestOf(await chain.get())).toBe(expected);
  });

  it('arrives when the peer has ended before anybody says where to send it', async () => {
    chain.peer = (socket) => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nsmall');
    chain.beforeSending = async (): Promise<void> => {
      await delay(SILENCE_MS / 4);
    };
    expect(await digestOf(await chain.get())).toBe(createHash('sha256').update('small').digest('hex'));
  });

  it('waits for a client that takes its time, longer than the silence it would bear', async () => {
    chain.peer = (socket) => socket.end(Buffer.concat([Buffer.from(HEAD), CONTENT]));
    chain.silenceMs = SILENCE_MS;
    const response = await chain.get();
    await delay(2 * SILENCE_MS);
    expect(await digestOf(response, 1)).toBe(expected);
  });

  it('leaves the connection of the client fit for the next one', async () => {
    chain.peer = (socket) => socket.end(Buffer.concat([Buffer.from(HEAD), CONTENT]));
    const first = await chain.get();
    const port = first.socket.localPort;
    await digestOf(first);
    const second = await chain.get();
    expect(second.socket.localPort).toBe(port);
    expect(await digestOf(second)).toBe(expected);
  });

  it.each([
    ['ends too soon', (socket: Socket) => socket.end(HEAD + 'begin'), 'closed before the end'],
    ['falls silent', (socket: Socket) => socket.write(HEAD + 'begin'), 'the next bytes of the body'],
  ])('is cut short of its length when the peer %s', async (_, peer, message) => {
    chain.peer = peer;
    chain.silenceMs = SILENCE_MS;
    const response = await chain.get();
    await expect(digestOf(response)).rejects.toThrow('aborted');
    expect(String(chain.failure)).toContain(message);
  });

  it.each([
    [
      'says nothing',
      () => undefined,
      scheme === 'TLS' ? 'the answer of the store' : 'a sign of life from the store',
    ],
    ['closes at once', (socket: Socket) => socket.end(), 'closed before the end'],
    ['speaks something else', (socket: Socket) => socket.end('SSH-2.0-x\r\n\r\n'), 'not HTTP'],
    [
      'never ends its head',
      (socket: Socket) => socket.write(`HTTP/1.1 200 OK\r\nx: ${'y'.repeat(70_000)}`),
      'too long',
    ],
  ])('is not begun when the peer %s', async (_, peer, message) => {
    chain.peer = peer;
    chain.silenceMs = SILENCE_MS;
    await expect(chain.get()).rejects.toThrow('hang up');
    expect(String(chain.failure)).toContain(message);
  });

  it('lets the peer go when the client leaves', async () => {
    const left = new Promise((resolve) => {
      chain.peer = (socket) => {
        socket.write(HEAD + 'begin');
        socket.once('close', resolve);
      };
    });
    (await chain.get()).destroy();
    await left;
  });
});
