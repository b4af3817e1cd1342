/** One proxy replaces another at the same port while clients connect without pause: none is turned away. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { access, mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { SELF_TEST_IMAGE } from '../../api/self-test.ts';
import { buildSteerPort } from '../../build/programs.ts';
import { freeLoopbackPort } from '../../platform/ports.ts';
import { waitFor } from '../cluster/wait.ts';

const MAIN = join(import.meta.dirname, '../../proxy/main.ts');
const HOSTS = ['127.0.0.1', '::1'];
/** Without steering, callers like these lose about five connections each time. */
const SUCCESSORS = 3;
const soon = { deadlineMs: 30_000, intervalMs: 20 };

describe('a port that one proxy takes over from another', () => {
  let folder: string;
  let program: string;
  let port: number;
  let metricsPort: number;
  let store: Server;
  let storeServes = false;
  const running = new Set<ChildProcess>();
  /** Pulls that each proxy answered. */
  const answers = new Map<ChildProcess, number>();

  beforeAll(async () => {
    [folder, program] = [await mkdtemp(join(tmpdir(), 'larder-shared-')), await buildSteerPort()];
    [port, metricsPort] = [await freeLoopbackPort(), await freeLoopbackPort()];
    const { manifest, blob } = SELF_TEST_IMAGE;
    store = createServer((request, response) => {
      const part = [manifest, blob].find(({ digest }) => request.url?.endsWith(digest));
      response.statusCode = storeServes ? 200 : 503;
      response.end(storeServes ? part?.bytes : '');
    }).listen(0, '127.0.0.1');
    await once(store, 'listening');
  }, 60_000);

  afterAll(async () => {
    await Promise.all([...running].map((proxy) => ended(proxy, 'SIGKILL')));
    store.close();
    await rm(folder, { recursive: true });
  });

  async function ended(proxy: ChildProcess, signal: NodeJS.Signals): Promise<void> {
    const exited = once(proxy, 'exit');
    proxy.kill(signal);
    await exited;
    running.delete(proxy);
  }

  /** Resolves once the proxy listens at the shared port: its own socket comes after that. */
  async function start(name: string): Promise<ChildProcess> {
    const socket = join(folder, name);
    const proxy = spawn(process.execPath, [MAIN], {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: {
        LARDER_PROXY_LISTEN_PORT: String(port),
        LARDER_PROXY_OWN_SOCKET: socket,
        LARDER_METRICS_LISTEN: `127.0.0.1:${metricsPort}`,
        LARDER_STORE_READER_URL: `http://127.0.0.1:${(store.address() as AddressInfo).port}`,
        LARDER_COPIER_URL: 'http://127.0.0.1:9',
        LARDER_COPIER_CA_FILE: join(folder, 'ca.crt'),
        LARDER_COPIER_TOKEN_FILE: join(folder, 'token'),
        LARDER_STEER_PORT_PROGRAM: program,
        LARDER_SELF_TEST_INTERVAL: '300ms',
      },
    });
    running.add(proxy);
    answers.set(proxy, 0);
    createInterface(proxy.stdout).on('line', (line) => {
      if (line.includes('"path":"/v2/"')) answers.set(proxy, (answers.get(proxy) ?? 0) + 1);
    });
    const listens = (): Promise<boolean> =>
      access(socket).then(
        () => true,
        () => false,
      );
    await waitFor(`${name} listens`, listens, soon);
    return proxy;
  }

  let proxy: ChildProcess;

  it("is the first one's until the other has proven itself", async () => {
    proxy = await start('first');
    const next = await start('second');
    for (let calls = 0; calls < 40; calls += 1) await call(HOSTS[calls % 2] ?? '', port);
    await waitFor('all are answered', () => Promise.resolve(answers.get(proxy) === 40), soon);
    expect(answers.get(next)).toBe(0);
    storeServes = true;
    const both = async (): Promise<boolean> => {
      for (const host of HOSTS) await call(host, port);
      return (answers.get(next) ?? 0) > 0;
    };
    await waitFor('the other is called', both, soon);
    await ended(proxy, 'SIGTERM');
    proxy = next;
  }, 60_000);

  it('loses nobody', async () => {
    const callers = manyCallers();
    for (let successor = 1; successor <= SUCCESSORS; successor += 1) {
      const next = await start(`successor ${successor}`);
      await ended(proxy, 'SIGTERM');
      proxy = next;
    }
    const { lost, answered } = await callers.end();
    expect(lost).toEqual([]);
    for (const host of HOSTS) expect(answered[host]).toBeGreaterThan(50 * SUCCESSORS);
  }, 150_000);

  it('is kept until a late successor listens', async () => {
    const callers = manyCallers();
    const gone = ended(proxy, 'SIGTERM');
    await start('late');
    await gone;
    const { lost } = await callers.end();
    expect(lost).toEqual([]);
  }, 60_000);

  /** Callers that never pause. */
  function manyCallers(): { end(): Promise<{ lost: string[]; answered: Record<string, number> }> } {
    let over = false;
    const answered: Record<string, number> = {};
    const lost: string[] = [];
    const callers = HOSTS.flatMap((host) => Array.from({ length: 4 }, () => host)).map(async (host) => {
      while (!over) {
        try {
          await call(host, port);
          answered[host] = (answered[host] ?? 0) + 1;
        } catch (error) {
          lost.push(String(error));
        }
      }
    });
    return {
      end: async () => {
        over = true;
        await Promise.all(callers);
        return { lost, answered };
      },
    };
  }
});

/** One connection, one request. */
async function call(host: string, port: number): Promise<void> {
  const socket = connect({ host, port });
  socket.write('GET /v2/ HTTP/1.1\r\nHost: larder\r\nConnection: close\r\n\r\n');
  let answer = '';
  for await (const part of socket) answer += String(part);
  if (!answer.startsWith('HTTP/1.1 200')) throw new Error(`answered with ${answer.slice(0, 100)}`);
}
