/** The store as a process, as in its container: what it logs, and what happens when its supervisor fails. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SignJWT } from 'jose';
import { storeStatusSchema, type StoreStatus } from '../../api/store-api.ts';
import { buildRegistry } from '../../build/programs.ts';
import { digestOf } from '../../registry/core/digest.ts';
import { readStoreLogin, signStoreToken } from '../../registry/transport/auth/store-login.ts';
import { freeLoopbackPort } from '../../platform/ports.ts';
import { waitFor } from '../cluster/wait.ts';
import { makeLogin, type Side } from '../envtest/store.ts';

const REPOSITORY = 'docker.io/library/app';
const content = Buffer.from('a blob');
const soon = { deadlineMs: 20_000, intervalMs: 50 };

let folder: string;
let store: ChildProcess;
let registries: readonly number[] = [];
let output = '';
const ports = { reader: 0, writer: 0, supervisor: 0, metrics: 0 };

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'larder-store-process-'));
  await mkdir(join(folder, 'trust'));
  for (const side of ['reader', 'writer'] as const) await makeLogin(folder, join(folder, 'trust'), side);
  for (const name of Object.keys(ports) as (keyof typeof ports)[]) ports[name] = await freeLoopbackPort();
  const registry = await buildRegistry();
  store = spawn(process.execPath, [join(import.meta.dirname, '../../store/main.ts')], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      LARDER_STORE_READER_LISTEN: `127.0.0.1:${ports.reader}`,
      LARDER_STORE_WRITER_LISTEN: `127.0.0.1:${ports.writer}`,
      LARDER_STORE_SUPERVISOR_LISTEN: `127.0.0.1:${ports.supervisor}`,
      LARDER_METRICS_LISTEN: `127.0.0.1:${ports.metrics}`,
      LARDER_STORE_DATA: join(folder, 'data'),
      LARDER_STORE_RUN: join(folder, 'run'),
      LARDER_STORE_TRUST: join(folder, 'trust'),
      LARDER_STORE_REGISTRY: registry,
      LARDER_STORE_DRAIN: '1s',
      // What Kubernetes sets in the pods of a namespace that has a Service named `registry`.
      REGISTRY_HTTP_ADDR: 'tcp://10.96.0.8:5000',
    },
  });
  for (const stream of [store.stdout, store.stderr]) {
    stream?.setEncoding('utf8').on('data', (text: string) => (output += text));
  }
  await waitFor('both registries answer', bothReady, {
    ...soon,
    dump: () => Promise.resolve(output),
  });
  registries = await childrenOf(store.pid);
}, 600_000);

afterAll(async () => {
  if (store.exitCode === null && store.signalCode === null) {
    store.kill('SIGTERM');
    await once(store, 'exit');
  }
  for (const pid of registries) if (await isRunning(pid)) process.kill(pid, 'SIGKILL');
  await rm(folder, { recursive: true });
});

it('collects also when nothing was ever stored', async () => {
  expect((await collect()).lastCollection).toMatchObject({ freedBytes: 0 });
  expect((await status()).lastCollection?.error).toBeUndefined();
});

it('collects also while a repository holds nothing but a broken upload', async () => {
  const started = await ask('writer', '/blobs/uploads/', { method: 'POST' });
  expect(started.status).toBe(202);
  expect((await collect()).lastCollection?.error).toBeUndefined();
  expect((await putBlob(started.headers.get('location') ?? '')).status).toBe(201);
});

it('writes one line for each request, in Combined Log Format, and none for its own probes', async () => {
  const path = `/v2/${REPOSITORY}/blobs/${digestOf(content)}`;
  expect((await readBlob()).status).toBe(200);
  await waitFor('the line', () => Promise.resolve(output.includes(path)), soon);
  const lines = output.split('\n').filter((line) => line.includes(`GET ${path}`));
  expect(lines).toHaveLength(1);
  expect(lines[0]).toMatch(/^127\.0\.0\.1 - - \[[^\]]+\] "GET \S+ HTTP\/1\.1" 200 6 "" "[^"]+"$/);
  expect(output).not.toContain('GET / HTTP');
});

it('tells Prometheus about itself and about its registries', async () => {
  const own = await (await fetch(`http://127.0.0.1:${ports.metrics}/metrics`)).text();
  expect(own).toMatch(/larder_store_registry_ready\{instance="reader",process="store"\} 1/);
  const reader = await fetch(`http://127.0.0.1:${ports.supervisor}/metrics/reader`);
  expect(await reader.text()).toContain('registry_http_requests_total');
});

it('changes keys without a restart of its own: the new login works, the former one no more', async () => {
  const former = join(folder, 'reader');
  const renewed = join(folder, 'renewed');
  await makeLogin(renewed, join(folder, 'trust'), 'reader');
  const works = async (login: string): Promise<boolean> => (await readBlob(login)).status === 200;
  await waitFor('the new login works', () => works(join(renewed, 'reader')), soon);
  expect((await readBlob(former)).status).toBe(401);
  await waitFor('both registries answer', bothReady, soon);
  registries = await childrenOf(store.pid);
});

it('serves on while its supervisor is frozen, however much there is to log', async () => {
  process.kill(store.pid ?? 0, 'SIGSTOP');
  try {
    for (let asked = 0; asked < 1_000; asked += 50) {
      const answers = await Promise.all(Array.from({ length: 50 }, () => readBlob()));
      expect(new Set(answers.map((answer) => answer.status))).toEqual(new Set([200]));
    }
  } finally {
    process.kill(store.pid ?? 0, 'SIGCONT');
  }
});

it('serves on when its supervisor is killed', async () => {
  store.kill('SIGKILL');
  await once(store, 'exit');
  expect(await (await readBlob()).text()).toBe('a blob');
});

async function ask(side: Side, path: string, init: RequestInit & { login?: string } = {}): Promise<Response> {
  const login = await readStoreLogin(init.login ?? join(folder, 'writer'));
  if (login.kind !== 'key') throw new Error('the login holds no key');
  const access = [{ type: 'repository', name: REPOSITORY, actions: ['pull', 'push'] }];
  const headers = { authorization: `Bearer ${await signStoreToken(login, access)}` };
  const url = new URL(
    path.startsWith('/') ? `/v2/${REPOSITORY}${path}` : path,
    `http://127.0.0.1:${ports[side]}`,
  );
  return await fetch(url, { ...init, headers });
}

function readBlob(login?: string): Promise<Response> {
  return ask('reader', `/blobs/${digestOf(content)}`, login === undefined ? {} : { login });
}

/** Ends an upload with all of its content. */
function putBlob(upload: string): Promise<Response> {
  const url = new URL(upload);
  url.searchParams.set('digest', digestOf(content));
  return ask('writer', url.href, { method: 'PUT', body: content });
}

async function order(method: 'GET' | 'POST', path: string): Promise<StoreStatus> {
  const login = await readStoreLogin(join(folder, 'writer'));
  if (login.kind !== 'key') throw new Error('the login holds no key');
  const token = await new SignJWT()
    .setProtectedHeader({ alg: 'ES256', kid: login.keyId })
    .setIssuer('larder')
    .setAudience('larder-store-supervisor')
    .setExpirationTime('1m')
    .sign(login.key);
  const headers = { authorization: `Bearer ${token}` };
  const answer = await fetch(`http://127.0.0.1:${ports.supervisor}${path}`, { method, headers });
  return storeStatusSchema.parse(await answer.json());
}

function status(): Promise<StoreStatus> {
  return order('GET', '/status');
}

async function bothReady(): Promise<boolean> {
  const { reader, writer } = await status();
  return reader.ready && writer.ready;
}

/** Has garbage collected and waits for the end of it. */
async function collect(): Promise<StoreStatus> {
  const before = (await status()).lastCollection?.startedAt;
  await order('POST', '/collect');
  return await waitFor(
    'the collection ends and the writer answers',
    async () => {
      const now = await status();
      return now.lastCollection?.startedAt !== before && now.writer.ready && now;
    },
    soon,
  );
}

async function childrenOf(pid = 0): Promise<readonly number[]> {
  const text = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8');
  return text.trim().split(' ').map(Number);
}

/** False also for one that somebody else runs under the same number by now. */
async function isRunning(pid: number): Promise<boolean> {
  const commandLine = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
  return commandLine.includes(folder);
}
