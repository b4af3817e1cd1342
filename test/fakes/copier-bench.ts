/** A copier between a fake upstream and a fake store, for tests over real HTTP. */
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, request as httpRequest, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { parseCachePolicy } from '../../api/cache-policy.ts';
import { Copier } from '../../copier/compose.ts';
import { copierConfig } from '../../copier/config.ts';
import { Placement } from '../../copier/api/placement.ts';
import type { PolicyRecord } from '../../api/policy-records.ts';
import { copierHandler } from '../../copier/api/server.ts';
import { loadConfig } from '../../platform/config.ts';
import { silentLogger } from '../../platform/log.ts';
import { RegistryError } from '../../registry/core/errors.ts';
import { ask, type Asking, type Reply } from './ask.ts';
import type { TestImage } from './images.ts';
import { FakeRegistry } from './registry.ts';

/** Upstream's repository, unless a test names another. */
export const REPOSITORY = 'acme/app';
export const REVALIDATE_MS = 150;
const HEAD_MS = 500;

/** A policy for every image. */
export function policy(spec: object): PolicyRecord {
  const metadata = { name: 'policy' };
  return { metadata, policy: parseCachePolicy({ metadata, spec }) };
}

/** What a replica shares with the others, and its place among them. */
export interface Replica {
  readonly upstream: FakeRegistry;
  readonly store: FakeRegistry;
  readonly placement: Placement;
}

/** The copier is served over plain HTTP. */
export class CopierBench {
  readonly upstream: FakeRegistry;
  readonly store: FakeRegistry;
  readonly secrets = new Map<string, unknown>();
  secretNames: readonly string[] = [];
  policies: readonly PolicyRecord[] = [];
  /** Addresses of all replicas; the copier's own is 10.0.0.1. */
  replicas: readonly string[] = [];
  /** Of whoever asks; undefined: its token is refused. */
  role: 'puller' | 'operator' | undefined = 'operator';
  readonly #folder: string;
  readonly #stop = new AbortController();
  #copier!: Copier;
  #server!: Server;

  private constructor(upstream: FakeRegistry, store: FakeRegistry, folder: string) {
    this.upstream = upstream;
    this.store = store;
    this.#folder = folder;
  }

  static async start(
    env: Record<string, string> = {},
    login?: { username: string; password: string },
    replica?: Replica,
  ): Promise<CopierBench> {
    const bench = new CopierBench(
      replica?.upstream ?? (await FakeRegistry.start(login ? { login: { kind: 'basic', ...login } } : {})),
      replica?.store ?? (await FakeRegistry.start()),
      await mkdtemp(join(tmpdir(), 'larder-copier-')),
    );
    const settings = loadConfig(copierConfig, {
      LARDER_STORE_READER_URL: bench.store.origin,
      LARDER_STORE_WRITER_URL: bench.store.origin,
      LARDER_SPOOL_FOLDER: bench.#folder,
      LARDER_REVALIDATE_DEADLINE: `${REVALIDATE_MS}ms`,
      LARDER_RESPONSE_DEADLINE: `${HEAD_MS}ms`,
      LARDER_FRESH_FOR: '0',
      LARDER_UPSTREAM_TRANSFERS: '2',
      LARDER_NAMESPACE: 'larder',
      ...env,
    });
    bench.#copier = new Copier({
      settings,
      upstreamSettings: {
        get: () => [{ host: bench.upstream.host, plainHttp: true, allowAddresses: ['127.0.0.0/8'] }],
      },
      policies: { values: () => bench.policies },
      secrets: {
        readSecret: (namespace, name) => Promise.resolve(bench.secrets.get(`${namespace}/${name}`)),
        secretNames: () => Promise.resolve(bench.secretNames),
      },
      log: silentLogger,
      signal: bench.#stop.signal,
    });
    const handler = copierHandler({
      verifier: {
        verify: () =>
          bench.role === undefined
            ? Promise.reject(new RegistryError('unknown caller', { reason: 'Unauthorized' }))
            : Promise.resolve(bench.role),
      },
      manifests: bench.#copier.manifests,
      blobs: bench.#copier.blobs,
      lists: bench.#copier.lists,
      orders: bench.#copier.orders,
      placement:
        replica?.placement ?? new Placement({ self: '10.0.0.1', port: 7441, replicas: () => bench.replicas }),
      metrics: { observe: () => undefined },
      log: silentLogger,
    });
    bench.#server = createServer(handler);
    await once(bench.#server.listen(0, '127.0.0.1'), 'listening');
    return bench;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** The cached name of one of upstream's repositories. */
  name(tenant?: string, repository = REPOSITORY): string {
    return `${tenant === undefined ? '' : `${tenant}.tenant/`}${this.upstream.host.replace(':', '-')}/${repository}`;
  }

  ask(path: string, asking: Asking = {}): Promise<Reply> {
    return ask(this.port, path, asking);
  }

  /** Sends a request, and hangs up when the first bytes have come. */
  async leaveDuring(path: string): Promise<void> {
    const { port } = this;
    const request = httpRequest({ host: '127.0.0.1', port, path, agent: false });
    request.on('error', () => undefined).end();
    const [response] = (await once(request, 'response')) as [IncomingMessage];
    response.on('error', () => undefined);
    const closed = new Promise((resolve) => response.on('close', resolve));
    response.once('data', () => request.destroy());
    await closed;
  }

  blob(digest: string, headers: Record<string, string> = {}): Promise<Reply> {
    return this.ask(`/v2/${this.name()}/blobs/${digest}`, { headers });
  }

  manifest(reference: string, tenant?: string): Promise<Reply> {
    return this.ask(`/v2/${this.name(tenant)}/manifests/${reference}`);
  }

  async order(kind: string, order: object): Promise<Reply & { lines: Record<string, unknown>[] }> {
    const reply = await this.ask(`/larder/v1/${kind}`, { method: 'POST', body: JSON.stringify(order) });
    const text = reply.body.toString().trim();
    const lines =
      text === '' ? [] : text.split('\n').map((line) => JSON.parse(line) as Record<string, unknown>);
    return { ...reply, lines };
  }

  /** Puts an image into one of upstream's repositories. */
  offer(offered: TestImage, tag?: string, repository = REPOSITORY): void {
    this.upstream.repository(repository).add(offered, tag);
  }

  /** Orders a copy of a repository's image `:1`. @returns the last event */
  async copy(repository: string, order: object = {}): Promise<Record<string, unknown> | undefined> {
    const image = `${this.upstream.host}/${repository}:1`;
    return (await this.order('copy', { image, ...order })).lines.at(-1);
  }

  get image(): string {
    return `${this.upstream.host}/${REPOSITORY}:1`;
  }

  get cached(): ReturnType<FakeRegistry['repository']> {
    return this.store.repository(this.name());
  }

  /** Taken by downloads. */
  get spoolBytes(): number {
    return this.#copier.spool.reserved;
  }

  async settled(): Promise<void> {
    await this.#copier.downloads.settle();
  }

  async stop(): Promise<void> {
    await Promise.all([this.upstream.close(), this.store.close(), this.stopReplica()]);
  }

  /** Leaves upstream and store running, which other replicas share. */
  async stopReplica(): Promise<void> {
    this.#stop.abort();
    this.#server.closeAllConnections();
    this.#server.close();
    await this.#copier.close();
    await rm(this.#folder, { recursive: true, force: true });
  }
}

/** Waits until work in the background has had its effect. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await setImmediate();
}

/** The first OCI error of a response. */
export function errorOf({ body }: Reply): unknown {
  return (JSON.parse(body.toString()) as { errors: unknown[] }).errors[0];
}
