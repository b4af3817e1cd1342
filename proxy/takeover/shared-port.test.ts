import { once } from 'node:events';
import type { RequestListener } from 'node:http';
import { connect } from 'node:net';
import { Agent, request } from 'undici';
import { httpServer, type HttpServerComponent } from '../../platform/http-server.ts';
import { silentLogger } from '../../platform/log.ts';
import { PortSteering } from './port-steering.ts';
import { sharedPort, type SharedPortOptions } from './shared-port.ts';

const LOOPBACK = [{ host: '127.0.0.1', port: 0 }] as const;
const { signal } = new AbortController();
/** Without its program, as in a container that forbids it: the kernel goes on choosing. */
const steering = new PortSteering({ program: '/absent/steer-port', log: silentLogger });
const shared = (options: Partial<SharedPortOptions> = {}) => sharedPort({ steering, ...options });
const urlOf = (server: HttpServerComponent) => `http://127.0.0.1:${server.bound[0]?.port}/`;

describe('a server that shares its port', () => {
  const serve = (handler: RequestListener, options = {}) =>
    httpServer({ name: 'test', handler, addresses: LOOPBACK, ...options });

  it('listens beside its successor, which takes over when it stops', async () => {
    const first = serve((_req, res) => res.end('old'), { sharedPort: shared() });
    const old = await first.start(signal);
    const addresses = [{ host: '127.0.0.1', port: first.bound[0]?.port ?? 0 }];
    const successor = serve((_req, res) => res.end('new'), { sharedPort: shared(), addresses });
    const running = await successor.start(signal);
    const ask = async (): Promise<string> => {
      const { body } = await request(urlOf(first), { dispatcher: new Agent({ pipelining: 0 }) });
      return body.text();
    };
    const both = await Promise.all(Array.from({ length: 50 }, ask));
    expect([...new Set(both)].sort()).toEqual(['new', 'old']);
    await old.stop();
    const after = await Promise.all(Array.from({ length: 50 }, ask));
    expect([...new Set(after)]).toEqual(['new']);
    await running.stop();
  });

  it('stops listening only once nobody connects any more', async () => {
    const server = serve((_req, res) => res.end('here'), { sharedPort: shared({ lullMs: 400 }) });
    const running = await server.start(signal);
    let open = true;
    const stopped = running.stop().then(() => {
      open = false;
    });
    const asked = performance.now();
    while (performance.now() - asked < 1_000) {
      const { body } = await request(urlOf(server), { dispatcher: new Agent({ pipelining: 0 }) });
      expect(await body.text()).toBe('here');
    }
    expect(open).toBe(true);
    await stopped;
    await expect(once(connect(server.bound[0]?.port ?? 0, '127.0.0.1'), 'connect')).rejects.toMatchObject({
      code: 'ECONNREFUSED',
    });
  });
});
