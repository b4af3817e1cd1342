import { once } from 'node:events';
import { createServer, request as httpRequest, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setImmediate } from 'node:timers/promises';
import { silentLogger, type LogFields, type Logger } from '../../platform/log.ts';
import { ask } from '../../test/fakes/ask.ts';
import { RegistryError } from '../core/errors.ts';
import { type PullRequest, receivePull } from './pull-request.ts';
import { type Exchange, requestHandler, type RequestMetrics } from './request-handler.ts';

const DIGEST = `sha256:${'a'.repeat(64)}`;
const BLOB = `/v2/docker.io/library/nginx/blobs/${DIGEST}`;

let serve: (exchange: Exchange, pull: PullRequest) => void | Promise<void>;
let pulls: PullRequest[];
let requests: RequestMetrics[];
let lines: LogFields[];
let server: Server;

beforeEach(async () => {
  [pulls, requests, lines] = [[], [], []];
  serve = ({ response }) => {
    response.end('content');
  };
  const log: Logger = { ...silentLogger, info: (_, fields = {}) => lines.push(fields) };
  const handler = requestHandler({
    serve: async (exchange) => {
      const pull = receivePull(exchange.request, exchange.response);
      if (pull === undefined) return;
      pulls.push(pull);
      await serve(exchange, pull);
    },
    notes: () => ({ kind: 'other' }),
    requestId: ({ headers }) => headers['x-request-id'] as string | undefined,
    errorHeaders: (error) => ({ 'x-error': error instanceof Error ? error.name : '' }),
    observe: (request) => requests.push(request),
    log,
  });
  server = createServer(handler);
  await once(server.listen(0, '127.0.0.1'), 'listening');
});

afterEach(() => {
  server.closeAllConnections();
  server.close();
});

function port(): number {
  return (server.address() as AddressInfo).port;
}

/** What is told of a request once it is over. */
async function told(): Promise<{ metrics: RequestMetrics | undefined; line: LogFields | undefined }> {
  while (lines.length === 0) await setImmediate();
  return { metrics: requests[0], line: lines[0] };
}

describe('a request to a server of the pull API', () => {
  it('is parsed once', async () => {
    await ask(port(), `${BLOB}?ns=docker.io`, { method: 'HEAD' });
    expect(pulls).toMatchObject([
      { method: 'HEAD', path: { kind: 'blob', digest: DIGEST }, query: '?ns=docker.io' },
    ]);
  });

  it('is answered without further ado when it asks whether the registry is there', async () => {
    const { status, headers, body } = await ask(port(), '/v2/');
    expect([status, headers['docker-distribution-api-version'], body.toString()]).toEqual([
      200,
      'registry/2.0',
      '{}',
    ]);
    expect(pulls).toEqual([]);
  });

  it('is counted and logged once it is over', async () => {
    serve = ({ response, notes }) => {
      notes.kind = 'blob';
      notes.origin = 'store';
      notes.path = '/v2/its/one/spelling';
      notes.headAt = performance.now();
      response.end('content');
    };
    await ask(port(), BLOB, { headers: { 'x-request-id': 'from-the-client' } });
    const { metrics, line } = await told();
    expect(metrics).toMatchObject({ kind: 'blob', origin: 'store', status: 200, complete: true });
    expect(metrics?.bytes).toBeGreaterThan('content'.length);
    expect(line).toMatchObject({
      requestId: 'from-the-client',
      method: 'GET',
      path: '/v2/its/one/spelling',
      status: 200,
      complete: true,
    });
    expect(line).not.toHaveProperty('error');
  });

  it('is given an id when it has none', async () => {
    serve = () => {
      throw new RegistryError('no', { reason: 'NotFound' });
    };
    const { headers } = await ask(port(), BLOB);
    expect(headers['x-request-id']).toMatch(/^[0-9a-f-]{36}$/);
    expect((await told()).line?.['requestId']).toBe(headers['x-request-id']);
  });

  it('is given up when the client leaves', async () => {
    const aborted = new Promise((resolve) => {
      serve = ({ response, signal }) => {
        signal.addEventListener('abort', () => {
          resolve(signal.reason);
        });
        response.writeHead(200, { 'content-length': 1_000 }).write('begin');
      };
    });
    const request = httpRequest({ port: port(), host: '127.0.0.1', path: BLOB, agent: false }, (response) => {
      response.on('error', () => undefined).once('data', () => request.destroy());
    });
    request.on('error', () => undefined).end();
    expect(await aborted).toMatchObject({ reason: 'Canceled' });
    expect((await told()).metrics).toMatchObject({ status: 200, complete: false });
  });
});

describe('a failure', () => {
  it('is an OCI error, with nothing of the response that was meant', async () => {
    serve = ({ response }) => {
      response.setHeader('etag', '"x"');
      throw new RegistryError('slow down', { reason: 'RateLimited', retryAfterSeconds: 1.2 });
    };
    const { status, headers, body } = await ask(port(), BLOB);
    expect(status).toBe(429);
    expect(headers).toMatchObject({ 'retry-after': '2', 'x-error': 'RegistryError' });
    expect(headers).not.toHaveProperty('etag');
    expect(JSON.parse(body.toString())).toEqual({
      errors: [{ code: 'TOOMANYREQUESTS', message: 'slow down' }],
    });
    expect((await told()).line).toMatchObject({ status: 429, error: 'slow down' });
  });

  it('of our own making tells a client nothing', async () => {
    serve = () => {
      throw new Error('password: hunter2');
    };
    const { status, body } = await ask(port(), BLOB);
    expect([status, body.toString()]).toEqual([
      500,
      '{"errors":[{"code":"UNKNOWN","message":"internal error"}]}',
    ]);
  });

  it('inside a body cuts it short', async () => {
    serve = async ({ response }) => {
      await new Promise((resolve) => {
        response.writeHead(200, { 'content-length': 1_000 }).write('begin', resolve);
      });
      throw new Error('broken');
    };
    expect(await ask(port(), BLOB)).toMatchObject({ status: 200, complete: false });
  });
});

describe('what is no pull', () => {
  it.each(['PUT', 'POST', 'PATCH', 'DELETE'])('is refused: %s', async (method) => {
    const { status, headers, body } = await ask(port(), BLOB, { method });
    expect([status, headers.allow]).toEqual([405, 'GET, HEAD']);
    expect(JSON.parse(body.toString())).toMatchObject({ errors: [{ code: 'UNSUPPORTED' }] });
  });

  it.each([{ 'content-length': '4' }, { 'transfer-encoding': 'chunked' }])(
    'is refused with its connection: a body (%j)',
    async (framing: Record<string, string>) => {
      const { status, headers, body } = await ask(port(), BLOB, { headers: framing, body: 'body' });
      expect([status, headers.connection]).toEqual([400, 'close']);
      expect(JSON.parse(body.toString())).toMatchObject({ errors: [{ code: 'UNSUPPORTED' }] });
      expect(pulls).toEqual([]);
    },
  );

  it.each([
    ['/', 404],
    ['/v2/docker.io/library/nginx/blobs/md5:abc', 400],
  ])('is refused: the path %s', async (path, status) => {
    const reply = await ask(port(), path);
    expect(reply.status).toBe(status);
    expect(JSON.parse(reply.body.toString())).toHaveProperty('errors.0.code');
  });
});
