import { once } from 'node:events';
import { createServer, type Server } from 'node:https';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createCa, issueServerCertificate } from '../../platform/x509.ts';
import { CopierClient } from './copier-client.ts';
import { copyRequest, DIGEST } from '../test-objects.ts';

const SERVER_NAME = 'larder-copier.larder.svc';
type Handler = (request: IncomingMessage, response: ServerResponse, body: string) => void;

let server: Server;
let client: CopierClient;
let handle: Handler;

beforeAll(async () => {
  const ca = await createCa('Larder', 1, Date.now());
  server = createServer(
    await issueServerCertificate(ca, [SERVER_NAME], 1, Date.now()),
    (request, response) => {
      let body = '';
      request.on('data', (chunk: Buffer) => (body += chunk.toString()));
      request.on('end', () => {
        handle(request, response, body);
      });
    },
  );
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  client = new CopierClient({
    url: new URL(`https://127.0.0.1:${(server.address() as AddressInfo).port}`),
    serverName: SERVER_NAME,
    ca: () => ca.cert,
    token: () => Promise.resolve('our-token'),
    beforeOrder: () => undefined,
    silenceMs: 500,
  });
});

afterAll(async () => {
  await client.close();
  server.closeAllConnections();
  server.close();
});

const answering = (...events: object[]): Handler => {
  return (_, response) => {
    response.writeHead(200, { 'content-type': 'application/x-ndjson' });
    response.end(events.map((event) => `${JSON.stringify(event)}\n`).join(''));
  };
};

const copy = (
  signal = new AbortController().signal,
  onProgress: (progress: object) => void = () => undefined,
) =>
  client.copy(
    copyRequest('ghcr.io/acme/app:7', { tenant: 'team-a', pullSecrets: ['regcred'] }),
    signal,
    onProgress,
  );

describe('an order to the copier', () => {
  it('is made with our token, and ends in what was copied', async () => {
    const done = { type: 'done', digest: DIGEST, sizeBytes: 9, platforms: ['linux/amd64'] };
    const seen: unknown[] = [];
    handle = (request, response, body) => {
      seen.push(request.method, request.url, request.headers.authorization, JSON.parse(body));
      answering({ type: 'progress', completedBytes: 1, totalBytes: 9 }, done)(request, response, body);
    };
    const progress: object[] = [];
    await expect(copy(undefined, (step) => progress.push(step))).resolves.toMatchObject({
      digest: DIGEST,
      sizeBytes: 9,
    });
    expect(progress).toMatchObject([{ completedBytes: 1, totalBytes: 9 }]);
    expect(seen).toEqual([
      'POST',
      '/larder/v1/copy',
      'Bearer our-token',
      { image: 'ghcr.io/acme/app:7', tenant: 'team-a', platforms: ['linux/amd64'], pullSecrets: ['regcred'] },
    ]);
  });

  it('that fails upstream says why and for how long', async () => {
    handle = answering({ type: 'failed', reason: 'RateLimited', message: 'too many', retryAfterSeconds: 30 });
    await expect(copy()).rejects.toMatchObject({
      reason: 'RateLimited',
      message: 'too many',
      retryAfterSeconds: 30,
    });
  });

  it.each<[string, Handler]>([
    ['refuses us', (_, response) => response.writeHead(401).end()],
    ['fails', (_, response) => response.writeHead(503).end('busy')],
    ['ends without a result', answering({ type: 'progress', completedBytes: 1, totalBytes: 9 })],
    ['talks nonsense', (_, response) => response.end('<html>\n')],
    ['breaks off', (_, response) => response.writeHead(200).write('{"type"', () => response.destroy())],
    ['falls silent', (_, response) => response.writeHead(200).write('\n')],
    ['never answers', () => undefined],
  ])('is CopierUnavailable when the copier %s', async (_, handler) => {
    handle = handler;
    await expect(copy()).rejects.toMatchObject({ name: 'OrderFailed', reason: 'CopierUnavailable' });
  });

  it('goes to the replica that owns the image, and back when that does not answer', async () => {
    const done = { type: 'done', digest: DIGEST, sizeBytes: 9, platforms: ['linux/amd64'] };
    const seen: unknown[] = [];
    const redirecting =
      (location: string): Handler =>
      (request, response, body) => {
        seen.push(request.headers['larder-serve-here']);
        if (seen.length === 1) response.writeHead(307, { location }).end();
        else answering(done)(request, response, body);
      };
    const { port } = server.address() as AddressInfo;
    handle = redirecting(`https://127.0.0.1:${port}/larder/v1/copy`);
    await expect(copy()).resolves.toMatchObject({ digest: DIGEST });
    expect(seen.splice(0)).toEqual([undefined, undefined]);
    handle = redirecting('https://127.0.0.1:1/larder/v1/copy');
    await expect(copy()).resolves.toMatchObject({ digest: DIGEST });
    expect(seen).toEqual([undefined, '1']);
  });

  it('is canceled at the copier as well', async () => {
    const abort = new AbortController();
    const closed = new Promise((resolve) => {
      handle = (_, response) => {
        response.on('close', resolve);
        response.writeHead(200).write('{"type":"progress","completedBytes":1,"totalBytes":9}\n');
      };
    });
    const reason = new Error('nobody wants it');
    await expect(
      copy(abort.signal, () => {
        abort.abort(reason);
      }),
    ).rejects.toBe(reason);
    await closed;
  });
});
