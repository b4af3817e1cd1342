import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Agent } from 'undici';
import { silentLogger } from '../log.ts';
import { KubeClient } from './client.ts';
import { connect, loadKubeConfig, type Connection } from './connection.ts';
import { KubeError } from './error.ts';
import { configMaps } from './resource.ts';
import { listAndWatch, type WatchEvent } from './watch.ts';

type Answer = (query: URLSearchParams, response: ServerResponse, request: IncomingMessage) => void;

const event = (type: string, name: string, resourceVersion: string) =>
  `${JSON.stringify({ type, object: { metadata: { name, resourceVersion } } })}\n`;
const listOf =
  (version: string, ...names: string[]): Answer =>
  (_query, response) =>
    response.end(
      JSON.stringify({
        metadata: { resourceVersion: version },
        items: names.map((name) => ({ metadata: { name } })),
      }),
    );

describe('list and watch', () => {
  let server: Server;
  let agent: Agent;
  let asked: string[];
  let script: Answer[];

  beforeEach(async () => {
    asked = [];
    agent = new Agent();
    server = createServer((request, response) => {
      const { searchParams } = new URL(request.url ?? '', 'http://x');
      asked.push(searchParams.has('watch') ? `watch ${searchParams.get('resourceVersion') ?? ''}` : 'list');
      const answer = script.shift();
      if (answer) answer(searchParams, response, request);
      else response.writeHead(200).flushHeaders(); // nothing more happens
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
  });
  afterEach(async () => {
    await agent.destroy();
    server.closeAllConnections();
    server.close();
  });

  async function take(count: number): Promise<WatchEvent<unknown>[]> {
    const connection: Connection = {
      server: new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/prefix/`),
      dispatcher: () => Promise.resolve(agent),
      headers: () => Promise.resolve({}),
      close: () => Promise.resolve(),
    };
    const stop = new AbortController();
    const taken: WatchEvent<unknown>[] = [];
    const options = { signal: stop.signal, log: silentLogger, backoff: { baseMs: 1, maxMs: 1 } };
    for await (const change of listAndWatch(new KubeClient(connection, 'test'), configMaps, options)) {
      taken.push(change);
      if (taken.length === count) break;
    }
    stop.abort();
    return taken;
  }

  const names = (changes: WatchEvent<unknown>[]): string[] =>
    changes.map((change) => {
      const objects = (change.type === 'reset' ? change.objects : [change.object]) as {
        metadata: { name: string };
      }[];
      return [change.type, ...objects.map((object) => object.metadata.name)].join(' ');
    });

  it('goes on from the last bookmark after a disconnection', async () => {
    script = [
      listOf('5', 'a'),
      (_query, response) => {
        response.write(event('ADDED', 'b', '6') + event('BOOKMARK', '', '9'), () => response.destroy());
      },
      (_query, response) => {
        response.write(event('DELETED', 'a', '10'));
      },
    ];
    expect(names(await take(3))).toEqual(['reset a', 'upsert b', 'delete a']);
    expect(asked).toEqual(['list', 'watch 5', 'watch 9']);
  });

  it.each<[string, Answer]>([
    ['as an answer', (_query, response) => response.writeHead(410).end('{"reason":"Expired"}')],
    [
      'as an event',
      (_query, response) => response.end('{"type":"ERROR","object":{"code":410,"reason":"Expired"}}\n'),
    ],
  ])('lists anew when its version is gone, said %s', async (_how, gone) => {
    script = [listOf('5', 'a'), gone, listOf('50', 'b')];
    expect(names(await take(2))).toEqual(['reset a', 'reset b']);
    expect(asked).toEqual(['list', 'watch 5', 'list']);
  });

  it('asks again after an error, for the list as for the watch', async () => {
    const failure: Answer = (_query, response) => response.writeHead(500).end('not even JSON');
    script = [
      failure,
      listOf('5', 'a'),
      failure,
      (_query, response) => {
        response.write(event('MODIFIED', 'a', '6'));
      },
    ];
    expect(names(await take(2))).toEqual(['reset a', 'upsert a']);
    expect(asked).toEqual(['list', 'list', 'watch 5', 'watch 5']);
  });

  it('puts together events that arrive in pieces, in the middle of a character too', async () => {
    const bytes = Buffer.from(event('ADDED', 'große-Übersicht', '6') + event('ADDED', 'c', '7'));
    script = [
      listOf('5'),
      async (_query, response) => {
        for (const byte of bytes) {
          await new Promise<void>((done) =>
            response.write(Buffer.of(byte), () => {
              done();
            }),
          );
        }
      },
    ];
    expect(names(await take(3))).toEqual(['reset', 'upsert große-Übersicht', 'upsert c']);
  });

  it('reads a list page by page', async () => {
    const page =
      (next: string, name: string): Answer =>
      (query, response) => {
        expect(query.get('limit')).toBe('500');
        response.end(
          JSON.stringify({
            metadata: { resourceVersion: '5', continue: next },
            items: [{ metadata: { name } }],
          }),
        );
      };
    script = [page('more', 'a'), page('', 'b')];
    expect(names(await take(1))).toEqual(['reset a b']);
  });
});

describe('an error of the API', () => {
  it.each([
    [
      429,
      '{"reason":"TooManyRequests","details":{"retryAfterSeconds":3}}',
      '',
      { reason: 'TooManyRequests', retryable: true, retryAfterMs: 3_000 },
    ],
    [503, '<html>', '2', { reason: 'Unknown', retryable: true, retryAfterMs: 2_000 }],
    [
      403,
      '{"reason":"Forbidden","message":"no"}',
      undefined,
      { reason: 'Forbidden', message: 'GET /x: no', retryable: false, retryAfterMs: undefined },
    ],
  ])('%d says whether and when to try again', (status, body, retryAfter, expected) => {
    expect(KubeError.fromAnswer('GET /x', status, body, retryAfter)).toMatchObject(expected);
  });
});

describe('a connection', () => {
  it('is made from a kubeconfig, with its token', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'larder-kubeconfig-'));
    const file = join(folder, 'config');
    await writeFile(
      file,
      JSON.stringify({
        clusters: [{ name: 'c', cluster: { server: 'https://10.0.0.1:6443' } }],
        users: [{ name: 'u', user: { token: 'secret-token' } }],
        contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
        'current-context': 'x',
      }),
    );
    const connection = connect(loadKubeConfig(file));
    expect(connection.server.href).toBe('https://10.0.0.1:6443/');
    expect(await connection.headers()).toEqual({ authorization: 'Bearer secret-token' });
    expect(await connection.dispatcher()).toBe(await connection.dispatcher());
    await connection.close();
    await rm(folder, { recursive: true });
  });

  it('needs a cluster', () => {
    expect(() => connect(loadKubeConfig('/dev/null'))).toThrow();
  });
});
