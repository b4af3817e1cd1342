import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import { setTimeout as delay } from 'node:timers/promises';
import { createCa, issueServerCertificate } from '../../../platform/x509.ts';
import { pour, type ByteSink } from './byte-sink.ts';
import type { HttpRequest, HttpResponse } from './messages.ts';
import { bulkExchange } from './bulk-exchange.ts';
import { ConnectionPool } from './connection-pool.ts';

const SILENCE_MS = 200;
/** For servers that answer, however busy the machine is. */
const LONG_MS = 20_000;
const CONTENT = randomBytes(3_000_001);
const EXPECTED = createHash('sha256').update(CONTENT).digest('hex');
const LENGTH = `Content-Length: ${CONTENT.byteLength}\r\n`;

interface ServerCertificate {
  readonly cert: string;
  readonly key: string;
  readonly ca: string;
}

/** What a server does with each request; the request's head comes whole. */
type Answer = (socket: Socket, head: string) => void;

describe.each(['http', 'https'])('by %s', (scheme) => {
  let server: Server;
  let tls: ServerCertificate;

  beforeAll(async () => {
    const ca = await createCa('larder', 1, Date.now());
    tls = { ...(await issueServerCertificate(ca, ['127.0.0.1'], 1, Date.now())), ca: ca.cert };
  });

  let answer: Answer;
  let connections: number;
  let silenceMs: number;
  let pool: ConnectionPool;

  beforeEach(async () => {
    connections = 0;
    const policy = scheme === 'https' ? { ca: tls.ca } : {};
    pool = new ConnectionPool(() => policy, LONG_MS);
    silenceMs = LONG_MS;
    const onConnection = (socket: Socket): void => {
      connections += 1;
      let received = '';
      socket.on('error', () => undefined);
      socket.on('data', (chunk: Buffer) => {
        received += chunk.toString('latin1');
        const end = received.indexOf('\r\n\r\n');
        if (end < 0) return;
        const head = received.slice(0, end);
        received = received.slice(end + 4);
        answer(socket, head);
      });
    };
    server = scheme === 'https' ? createTlsServer(tls, onConnection) : createServer(onConnection);
    await once(server.listen(0, '127.0.0.1'), 'listening');
  });

  afterEach(() => {
    pool.close();
    server.close();
  });

  function ask(
    more: Partial<HttpRequest> = {},
    signal = new AbortController().signal,
  ): Promise<HttpResponse> {
    const url = new URL(`${scheme}://127.0.0.1:${(server.address() as AddressInfo).port}/v2/blob?x=1`);
    const deadlines = { headMs: 3 * silenceMs, silenceMs };
    return bulkExchange(pool, { method: 'GET', url, headers: {}, ...more }, deadlines, signal);
  }

  /**
   * Takes bytes into the same small memory over and over, and after each piece wants no more for a moment.
   */
  class HashingSink implements ByteSink {
    readonly #memory = Buffer.alloc(100_000);
    readonly #hash = createHash('sha256');
    readonly #pauseMs: number;
    bytes = 0;

    constructor(pauseMs = 0) {
      this.#pauseMs = pauseMs;
    }

    get digest(): string {
      return this.#hash.digest('hex');
    }

    space(): Uint8Array {
      return this.#memory;
    }

    filled(bytes: number): boolean {
      this.#hash.update(this.#memory.subarray(0, bytes));
      this.bytes += bytes;
      return this.#pauseMs === 0;
    }

    async ready(): Promise<void> {
      await delay(this.#pauseMs);
    }
  }

  async function poured({ body }: HttpResponse, pauseMs = 0): Promise<string> {
    const sink = new HashingSink(pauseMs);
    await pour(body, sink);
    return sink.digest;
  }

  async function read({ body }: HttpResponse): Promise<Buffer> {
    return Buffer.concat((await body.toArray()) as Buffer[]);
  }

  describe('a body', () => {
    const chunked = Buffer.concat([
      Buffer.from(`Transfer-Encoding: chunked\r\n\r\n${CONTENT.byteLength.toString(16)}\r\n`),
      CONTENT,
      Buffer.from('\r\n0\r\n\r\n'),
    ]);

    it.each([
      ['its length is told', Buffer.concat([Buffer.from(`${LENGTH}\r\n`), CONTENT]), false],
      ['it is chunked', chunked, false],
      ['it ends with the connection', Buffer.concat([Buffer.from('\r\n'), CONTENT]), true],
    ])('is whole when %s, poured or read', async (_, coded, closes) => {
      answer = (socket) => {
        socket.write('HTTP/1.1 200 OK\r\n');
        socket.write(coded);
        if (closes) socket.end();
      };
      expect(await poured(await ask())).toBe(EXPECTED);
      expect((await read(await ask())).equals(CONTENT)).toBe(true);
    });

    it('waits for whoever pours it, longer than the silence it would bear', async () => {
      answer = (socket) =>
        socket.write(Buffer.concat([Buffer.from(`HTTP/1.1 200 OK\r\n${LENGTH}\r\n`), CONTENT]));
      silenceMs = SILENCE_MS;
      const response = await ask();
      await delay(2 * SILENCE_MS);
      expect(await poured(response, 5)).toBe(EXPECTED);
    });

    it.each([
      ['breaks off', (socket: Socket) => socket.end('begin'), 'before the end'],
      ['falls silent', (socket: Socket) => socket.write('begin'), 'was silent'],
    ])('fails when it %s, poured or read', async (_, go, message) => {
      answer = (socket) => {
        socket.write(`HTTP/1.1 200 OK\r\n${LENGTH}\r\n`);
        go(socket);
      };
      silenceMs = SILENCE_MS;
      await expect(poured(await ask())).rejects.toThrow(message);
      await expect(read(await ask())).rejects.toThrow(message);
    });

    it('ends with the signal, and with what the sink throws', async () => {
      answer = (socket) => socket.write(`HTTP/1.1 200 OK\r\n${LENGTH}\r\nbegin`);
      const leaving = new AbortController();
      const pouring = poured(await ask({}, leaving.signal));
      leaving.abort(new Error('gone'));
      await expect(pouring).rejects.toThrow('gone');
      const full: ByteSink = {
        space: () => new Uint8Array(10),
        filled: () => {
          throw new Error('full');
        },
        ready: () => Promise.resolve(),
      };
      await expect(pour((await ask()).body, full)).rejects.toThrow('full');
    });
  });

  describe('a connection', () => {
    const small = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';

    it('serves one exchange after the other', async () => {
      answer = (socket) => socket.write(small);
      for (let times = 0; times < 3; times += 1) expect((await read(await ask())).toString()).toBe('ok');
      expect(connections).toBe(1);
    });

    it.each([
      ['said that it would close', small.replace('\r\n\r\n', '\r\nConnection: close\r\n\r\n')],
      ['sent more than its answer', `${small}more`],
    ])('is not used again when the server %s', async (_, text) => {
      answer = (socket) => socket.write(text);
      for (let times = 0; times < 2; times += 1) expect((await read(await ask())).toString()).toBe('ok');
      expect(connections).toBe(2);
    });

    it('is replaced when the server has closed it meanwhile', async () => {
      answer = (socket) => {
        socket.write(small);
        answer = (again) => {
          answer = (other) => other.write(small);
          again.destroy();
        };
      };
      for (let times = 0; times < 2; times += 1) expect((await read(await ask())).toString()).toBe('ok');
      expect(connections).toBe(2);
    });

    it('carries no header that would be a request of its own', async () => {
      answer = (socket) => socket.write(small);
      const headers = { authorization: 'Bearer x\r\n\r\nGET /other HTTP/1.1' };
      await expect(ask({ headers })).rejects.toMatchObject({ reason: 'Invalid' });
    });

    it('is given up when the head does not come, or is none', async () => {
      answer = () => undefined;
      silenceMs = SILENCE_MS;
      await expect(ask()).rejects.toMatchObject({ reason: 'TimedOut' });
      answer = (socket) => socket.write('SSH-2.0-x\r\n\r\n');
      await expect(ask()).rejects.toMatchObject({ reason: 'Unreachable' });
    });
  });

  describe('a body that is streamed', () => {
    async function* pieces(): AsyncGenerator<Uint8Array> {
      const memory = Buffer.alloc(70_000);
      for (let at = 0; at < CONTENT.byteLength; at += memory.byteLength) {
        const copied = CONTENT.copy(memory, 0, at);
        yield memory.subarray(0, copied);
        await Promise.resolve();
        // Whoever has not sent it by now sends something else.
        memory.fill(0);
      }
    }

    it.each([
      ['with its length', { 'content-length': String(CONTENT.byteLength) }],
      ['in chunks', {}],
    ])('arrives %s, although its memory is used again', async (_, headers: Record<string, string>) => {
      const http = await import('node:http');
      const hash = createHash('sha256');
      const registry = http.createServer((request, response) => {
        request.on('data', (chunk: Buffer) => hash.update(chunk));
        request.on('end', () => response.writeHead(201).end());
      });
      await once(registry.listen(0, '127.0.0.1'), 'listening');
      const url = new URL(`http://127.0.0.1:${(registry.address() as AddressInfo).port}/upload`);
      const response = await ask({ method: 'PUT', url, headers, body: pieces() });
      expect(response.status).toBe(201);
      expect(hash.digest('hex')).toBe(EXPECTED);
      registry.close();
    });

    it('is not sent on once the registry has answered', async () => {
      answer = (socket) => socket.write('HTTP/1.1 507 Full\r\nContent-Length: 4\r\n\r\nfull');
      let asked = 0;
      const endless = (async function* () {
        for (;;) {
          asked += 1;
          await delay(1);
          yield CONTENT;
        }
      })();
      const response = await ask({ method: 'PUT', body: endless });
      expect(response.status).toBe(507);
      expect((await read(response)).toString()).toBe('full');
      const before = asked;
      await delay(50);
      expect(asked).toBeLessThanOrEqual(before + 1);
    });

    it('that fails fails the exchange with its own error', async () => {
      answer = () => undefined;
      const failing = (async function* () {
        yield Buffer.from('begin');
        await Promise.reject(new Error('the source broke'));
      })();
      await expect(ask({ method: 'PUT', body: failing })).rejects.toMatchObject({
        cause: expect.objectContaining({ message: 'the source broke' }) as Error,
      });
    });
  });
});
