/** One proxy after the other at the same port, while callers come without any pause: nobody is turned away. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { access, mkdtemp, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildSteerPort } from '../../build/steer-port.ts';
import { freeLoopbackPort } from '../../store/probe.ts';
import { waitFor } from '../cluster/wait.ts';

const MAIN = join(import.meta.dirname, '../../proxy/main.ts');
const HOSTS = ['127.0.0.1', '::1'];
/** Without steering, callers like these lose about five connections each time. */
const SUCCESSORS = 5;

describe('a port that one proxy takes over from another', () => {
  let folder: string;
  let program: string;
  let port: number;
  let metricsPort: number;
  const running = new Set<ChildProcess>();

  beforeAll(async () => {
    [folder, program] = [await mkdtemp(join(tmpdir(), 'larder-shared-')), await buildSteerPort()];
    [port, metricsPort] = [await freeLoopbackPort(), await freeLoopbackPort()];
  }, 60_000);

  afterAll(async () => {
    await Promise.all([...running].map((proxy) => ended(proxy, 'SIGKILL')));
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
      stdio: ['ignore', 'ignore', 'inherit'],
      env: {
        LARDER_PROXY_LISTEN_PORT: String(port),
        LARDER_PROXY_SOCKET: socket,
        LARDER_METRICS_LISTEN: `127.0.0.1:${metricsPort}`,
        LARDER_STORE_READER_URL: 'http://127.0.0.1:9',
        LARDER_COPIER_URL: 'http://127.0.0.1:9',
        LARDER_COPIER_CA_FILE: join(folder, 'ca.crt'),
        LARDER_COPIER_TOKEN_FILE: join(folder, 'token'),
        LARDER_STEER_PORT_PROGRAM: program,
        LARDER_LOG_LEVEL: 'error',
      },
    });
    running.add(proxy);
    const listens = (): Promise<boolean> =>
      access(socket).then(
        () => true,
        () => false,
      );
    await waitFor(`${name} listens`, listens, { deadlineMs: 30_000, intervalMs: 20 });
    return proxy;
  }

  it('loses nobody', async () => {
    let over = false;
    const answered = Object.fromEntries(HOSTS.map((host) => [host, 0]));
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
    let proxy = await start('proxy 0');
    lost.length = 0; // who came before anybody listened
    for (let successor = 1; successor <= SUCCESSORS; successor += 1) {
      const next = await start(`proxy ${successor}`);
      await ended(proxy, 'SIGTERM');
      proxy = next;
    }
    over = true;
    await Promise.all(callers);
    expect(lost).toEqual([]);
    for (const host of HOSTS) expect(answered[host]).toBeGreaterThan(50 * SUCCESSORS);
  }, 120_000);
});

/** One connection, one request. */
async function call(host: string, port: number): Promise<void> {
  const socket = connect({ host, port });
  socket.write('GET /v2/ HTTP/1.1\r\nHost: larder\r\nConnection: close\r\n\r\n');
  let answer = '';
  for await (const part of socket) answer += String(part);
  if (!answer.startsWith('HTTP/1.1 200')) throw new Error(`answered with ${answer.slice(0, 100)}`);
}
