/** A bare Kubernetes API: one etcd and one kube-apiserver on loopback, for tests that need no nodes. */
import { type ChildProcess, spawn } from 'node:child_process';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { openSync, closeSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { KubeConfig } from '@kubernetes/client-node';
import { request } from 'undici';
import { connect, type Connection } from '../../platform/kube/connection.ts';
import { createCa, issueServerCertificate, type KeyPairPem } from '../../platform/x509.ts';
import { waitFor } from '../cluster/wait.ts';
import { buildTool } from '../cluster/tools.ts';

/** The user of a token for {@link ApiServer.connect}. */
const USERS = { admin: 'system:masters', nobody: 'larder:nobody' } as const;
export type TestUser = keyof typeof USERS;

export class ApiServer {
  readonly folder: string;
  readonly url: string;
  readonly #ca: KeyPairPem;
  readonly #tokens: Readonly<Record<TestUser, string>>;
  readonly #commands: Readonly<Record<'etcd' | 'kube-apiserver', readonly string[]>>;
  readonly #etcdUrl: string;
  readonly #running = new Map<string, ChildProcess>();
  readonly #connections: Connection[] = [];

  private constructor(folder: string, ca: KeyPairPem, binaries: Binaries, ports: readonly number[]) {
    const [api = 0, etcd = 0, peer = 0] = ports;
    this.folder = folder;
    this.#ca = ca;
    this.url = `https://127.0.0.1:${api}`;
    this.#etcdUrl = `http://127.0.0.1:${etcd}`;
    this.#tokens = { admin: randomBytes(16).toString('hex'), nobody: randomBytes(16).toString('hex') };
    this.#commands = {
      etcd: [
        binaries.etcd,
        `--data-dir=${join(folder, 'etcd')}`,
        `--listen-client-urls=${this.#etcdUrl}`,
        `--advertise-client-urls=${this.#etcdUrl}`,
        `--listen-peer-urls=http://127.0.0.1:${peer}`,
        '--unsafe-no-fsync',
        '--log-level=warn',
      ],
      'kube-apiserver': [
        binaries.apiServer,
        `--etcd-servers=${this.#etcdUrl}`,
        '--bind-address=127.0.0.1',
        `--secure-port=${api}`,
        '--service-cluster-ip-range=10.0.0.0/24',
        `--tls-cert-file=${join(folder, 'tls.crt')}`,
        `--tls-private-key-file=${join(folder, 'tls.key')}`,
        '--service-account-issuer=https://kubernetes.default.svc',
        `--service-account-key-file=${join(folder, 'sa.pub')}`,
        `--service-account-signing-key-file=${join(folder, 'sa.key')}`,
        `--token-auth-file=${join(folder, 'tokens.csv')}`,
        '--authorization-mode=RBAC',
        // There is no controller manager to make the ServiceAccounts that pods need.
        '--disable-admission-plugins=ServiceAccount',
        '--shutdown-delay-duration=0s',
      ],
    };
  }

  /**
   * Starts both and waits until the API is ready. Uses the programs in `KUBEBUILDER_ASSETS` when it is set.
   */
  static async start(): Promise<ApiServer> {
    const binaries = await findBinaries();
    const now = Date.now();
    const ca = await createCa('larder-test', 2, now);
    const ports = await freePorts(3);
    const server = new ApiServer(await mkdtemp(join(tmpdir(), 'larder-api-')), ca, binaries, ports);
    try {
      await server.#writeKeys(await issueServerCertificate(ca, ['localhost', '127.0.0.1'], 1, now));
      server.#launch('etcd');
      await server.startApi();
      return server;
    } catch (error) {
      await server.stop();
      throw error;
    }
  }

  /** A new connection, closed when the server stops. */
  connect(user: TestUser = 'admin'): Connection {
    const connection = connect(this.#config(user));
    this.#connections.push(connection);
    return connection;
  }

  /** Path of a kubeconfig for child processes. */
  async kubeconfig(user: TestUser = 'admin'): Promise<string> {
    const file = join(this.folder, `${user}.kubeconfig`);
    await writeFile(file, this.#config(user).exportConfig(), { mode: 0o600 });
    return file;
  }

  #config(user: TestUser): KubeConfig {
    const config = new KubeConfig();
    const caData = Buffer.from(this.#ca.cert).toString('base64');
    config.loadFromClusterAndUser(
      { name: 'test', server: this.url, caData, skipTLSVerify: false },
      { name: user, token: this.#tokens[user] },
    );
    return config;
  }

  /** Freezes the API server: connections stay open, but nothing is answered. */
  freeze(): void {
    this.#running.get('kube-apiserver')?.kill('SIGSTOP');
  }

  unfreeze(): void {
    this.#running.get('kube-apiserver')?.kill('SIGCONT');
  }

  async stopApi(): Promise<void> {
    await this.#end('kube-apiserver');
  }

  async startApi(): Promise<void> {
    this.#launch('kube-apiserver');
    const connection = this.connect();
    const ready = async (): Promise<boolean> => {
      const { statusCode, body } = await request(`${this.url}/readyz`, {
        dispatcher: await connection.dispatcher(),
        headers: await connection.headers(),
      });
      await body.dump();
      return statusCode === 200;
    };
    await waitFor('the API server to be ready', ready, {
      deadlineMs: 60_000,
      dump: () => this.#log('kube-apiserver'),
    });
  }

  /** Makes etcd forget the history before now, as the API server does every five minutes. */
  async compact(): Promise<void> {
    const key = Buffer.from('/').toString('base64');
    const range = await post(`${this.#etcdUrl}/v3/kv/range`, { key });
    const { revision } = (range as { header: { revision: string } }).header;
    await post(`${this.#etcdUrl}/v3/kv/compaction`, { revision, physical: true });
  }

  async stop(): Promise<void> {
    await Promise.all(this.#connections.map((connection) => connection.close()));
    await this.#end('kube-apiserver');
    await this.#end('etcd');
    await rm(this.folder, { recursive: true, force: true });
  }

  async #writeKeys(serving: KeyPairPem): Promise<void> {
    const tokens = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const files = {
      'tls.crt': serving.cert,
      'tls.key': serving.key,
      'sa.key': tokens.privateKey.export({ type: 'sec1', format: 'pem' }),
      'sa.pub': tokens.publicKey.export({ type: 'spki', format: 'pem' }),
      'tokens.csv': Object.entries(USERS)
        .map(([user, group]) => `${this.#tokens[user as TestUser]},${user},${user},${group}\n`)
        .join(''),
    };
    for (const [name, content] of Object.entries(files)) await writeFile(join(this.folder, name), content);
  }

  #launch(name: 'etcd' | 'kube-apiserver'): void {
    const [program = '', ...args] = this.#commands[name];
    const log = openSync(join(this.folder, `${name}.log`), 'a');
    // Both are written in Go. Test machines have plenty of memory but few processors.
    const env = { ...process.env, GOGC: '400' };
    this.#running.set(name, spawn(program, args, { env, stdio: ['ignore', log, log] }));
    closeSync(log);
  }

  async #end(name: string): Promise<void> {
    const child = this.#running.get(name);
    this.#running.delete(name);
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, 'exit');
    // SIGKILL, since no data needs to be kept and a frozen process reacts to nothing else.
    child.kill('SIGKILL');
    await exited;
  }

  #log(name: string): Promise<string> {
    return readFile(join(this.folder, `${name}.log`), 'utf8').then((text) => text.slice(-2_000));
  }
}

interface Binaries {
  readonly etcd: string;
  readonly apiServer: string;
}

async function findBinaries(): Promise<Binaries> {
  const assets = process.env['KUBEBUILDER_ASSETS'];
  if (assets) return { etcd: join(assets, 'etcd'), apiServer: join(assets, 'kube-apiserver') };
  return {
    etcd: join(await buildTool('etcd'), 'etcd'),
    apiServer: join(await buildTool('kubernetes'), 'kube-apiserver'),
  };
}

async function post(url: string, body: object): Promise<unknown> {
  const answer = await request(url, { method: 'POST', body: JSON.stringify(body) });
  if (answer.statusCode !== 200)
    throw new Error(`${url} answered ${answer.statusCode}: ${await answer.body.text()}`);
  return answer.body.json();
}

/** Ports that were free a moment ago. */
async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'));
  await Promise.all(servers.map((server) => once(server, 'listening')));
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(servers.map((server) => once(server.close(), 'close')));
  return ports;
}
