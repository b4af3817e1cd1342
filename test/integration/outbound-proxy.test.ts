/**
 * A node's proxy behind a site's HTTP proxy, with HTTP_PROXY and NO_PROXY in the environment of the process.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freeLoopbackPort } from '../../platform/ports.ts';
import { waitFor } from '../cluster/wait.ts';
import { FakeRegistry } from '../fakes/registry.ts';
import { testImage } from '../fakes/images.ts';
import { digestOf } from '../../registry/core/digest.ts';

const soon = { deadlineMs: 30_000, intervalMs: 50 };
const layer = Buffer.alloc(300_000, 'layer');
const image = testImage([layer]);

describe('what a proxy pulls from a registry itself', () => {
  let folder: string;
  let store: FakeRegistry;
  let behind: FakeRegistry;
  let exempt: FakeRegistry;
  let site: string;
  let larder: string;
  const programs: ChildProcess[] = [];

  async function start(program: string, args: readonly string[], env: NodeJS.ProcessEnv): Promise<void> {
    const argv = [join(import.meta.dirname, '../..', program), ...args];
    programs.push(spawn(process.execPath, argv, { env, stdio: ['ignore', 'ignore', 'inherit'] }));
    await Promise.resolve();
  }

  async function answers(url: string): Promise<boolean> {
    return (await fetch(url)).status === 200;
  }

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'larder-outbound-'));
    [store, behind, exempt] = await Promise.all([
      FakeRegistry.start(),
      FakeRegistry.start(),
      FakeRegistry.start(),
    ]);
    for (const upstream of [behind, exempt]) upstream.repository('acme/app').add(image, '1');
    const ports = await Promise.all(Array.from({ length: 4 }, () => freeLoopbackPort()));
    const [sitePort, port, metrics, nobody] = ports;
    site = `http://127.0.0.1:${sitePort}`;
    larder = `http://127.0.0.1:${port}`;
    await start('test/larder/http-proxy.ts', [String(sitePort)], {});
    const upstreams = [behind, exempt].map(({ host }) => ({
      host,
      plainHttp: true,
      allowAddresses: ['127.0.0.0/8'],
    }));
    await writeFile(join(folder, 'upstreams.json'), JSON.stringify(upstreams));
    await start('proxy/main.ts', [], {
      LARDER_PROXY_LISTEN_PORT: String(port),
      LARDER_PROXY_OWN_SOCKET: join(folder, 'proxy.sock'),
      LARDER_METRICS_LISTEN: `127.0.0.1:${metrics}`,
      LARDER_STORE_READER_URL: store.origin,
      LARDER_COPIER_URL: `http://127.0.0.1:${nobody}`,
      LARDER_COPIER_CA_FILE: join(folder, 'ca.crt'),
      LARDER_COPIER_TOKEN_FILE: join(folder, 'token'),
      LARDER_UPSTREAMS_FILE: join(folder, 'upstreams.json'),
      LARDER_LOG_LEVEL: 'error',
      HTTP_PROXY: site,
      NO_PROXY: exempt.host,
    });
    await waitFor(
      'both programs answer',
      async () => (await answers(`${site}/reached`)) && answers(`${larder}/v2/`),
      soon,
    );
  }, 60_000);

  afterAll(async () => {
    for (const program of programs) {
      const exited = once(program, 'exit');
      program.kill('SIGKILL');
      await exited;
    }
    await Promise.all([store.close(), behind.close(), exempt.close()]);
    await rm(folder, { recursive: true });
  });

  async function pull({ host }: FakeRegistry): Promise<void> {
    const base = `${larder}/v2/${host.replace(':', '-')}/acme/app`;
    const manifest = await fetch(`${base}/manifests/1`);
    expect(Buffer.from(await manifest.arrayBuffer()).equals(Buffer.from(image.root.bytes))).toBe(true);
    const blob = await fetch(`${base}/blobs/${digestOf(layer)}`);
    expect(Buffer.from(await blob.arrayBuffer()).equals(layer)).toBe(true);
  }

  async function reached(): Promise<unknown> {
    return (await fetch(`${site}/reached`)).json();
  }

  it('goes through HTTP_PROXY, what NO_PROXY names and the store do not', async () => {
    await pull(exempt);
    expect(await reached()).toEqual([]);
    await pull(behind);
    expect(await reached()).toEqual([behind.host]);
    expect(store.requests.length).toBeGreaterThan(0);
  });
});
