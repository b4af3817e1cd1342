/**
 * The proxies of many nodes and two replicas of the copier behind one Service, over real HTTP and TLS, to see
 * what a crowd costs upstream.
 */
import { once } from 'node:events';
import { createServer as createHttpServer, type Server as HttpServer } from 'node:http';
import { Agent } from 'node:https';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import { ownerOf, Placement } from '../../copier/api/placement.ts';
import { CircuitBreaker } from '../../platform/circuit-breaker.ts';
import { systemClock } from '../../platform/clock.ts';
import { silentLogger } from '../../platform/log.ts';
import { createCa, issueServerCertificate, type KeyPairPem } from '../../platform/x509.ts';
import { Forwarder } from '../../proxy/origins/forward.ts';
import { Peer } from '../../proxy/origins/peer.ts';
import { PeerOrigin } from '../../proxy/origins/peer-origin.ts';
import { pullHandler } from '../../proxy/server.ts';
import { UpstreamOrigin } from '../../proxy/origins/upstream-origin.ts';
import { upstreamPolicies } from '../../registry/transport/http/connection-policy.ts';
import { createConnections } from '../../registry/transport/http/connector.ts';
import { Transport } from '../../registry/transport/transport.ts';
import { CopierBench } from './copier-bench.ts';
import { FakeRegistry } from './registry.ts';

const REPLICAS = ['127.0.0.2', '127.0.0.3'];
const SERVICE = '127.0.0.1';
const SIGN_MS = 100;
/** Longer than anything takes on a busy test machine, unless a test holds it up. */
const HEAD_MS = 20_000;
const NAME = 'larder-copier';

/** After how many milliseconds a replica looks at a new connection; a frozen one never does. */
export type Manner = { readonly afterMs: number } | 'frozen';

export interface CrowdOptions {
  readonly proxies: number;
  readonly patienceMs: number;
}

export class Crowd {
  readonly upstream: FakeRegistry;
  readonly store: FakeRegistry;
  readonly replicas: readonly string[] = REPLICAS;
  readonly manners = new Map<string, Manner>();
  readonly #copiers: CopierBench[] = [];
  readonly #doors: (Server | HttpServer)[] = [];
  readonly #sockets = new Set<Socket>();
  readonly #proxies: string[] = [];
  readonly #agents: Agent[] = [];
  readonly #transports: Transport[] = [];

  private constructor(upstream: FakeRegistry, store: FakeRegistry) {
    this.upstream = upstream;
    this.store = store;
  }

  static async start({ proxies, patienceMs }: CrowdOptions): Promise<Crowd> {
    const crowd = new Crowd(await FakeRegistry.start(), await FakeRegistry.start());
    const ca = await createCa('crowd', 1, Date.now());
    const certificate = await issueServerCertificate(ca, [NAME], 1, Date.now());
    // As with kube-proxy, the next connection may go to any replica.
    let turn = 0;
    const port = await crowd.#listen(
      createServer((client) => {
        const replica = REPLICAS[(turn += 1) % REPLICAS.length] ?? SERVICE;
        crowd.#join(client, crowd.#keep(connect(port, replica)));
      }),
      { host: SERVICE, port: 0 },
    );
    for (const address of REPLICAS) await crowd.#startCopier(address, port, certificate);
    for (let n = 0; n < proxies; n += 1) await crowd.#startProxy(port, ca.cert, patienceMs);
    return crowd;
  }

  /** Address of the replica that owns upstream's repository. */
  ownerOf(repository: string): string {
    return ownerOf(this.#name(repository), REPLICAS) ?? '';
  }

  /** All proxies pull the image `:1` at once. @returns their responses, by path */
  async pull(repository: string, digests: readonly string[]): Promise<Map<string, Set<string>>> {
    const answers = new Map<string, Set<string>>();
    const base = `/v2/${this.#name(repository)}`;
    const get = async (origin: string, path: string): Promise<void> => {
      const response = await fetch(`${origin}${base}${path}`);
      const text = `${response.status} ${await response.text()}`;
      answers.set(path, (answers.get(path) ?? new Set()).add(text));
    };
    await Promise.all(
      this.#proxies.map(async (origin) => {
        await get(origin, '/manifests/1');
        await Promise.all(digests.map((digest) => get(origin, `/blobs/${digest}`)));
      }),
    );
    return answers;
  }

  async settled(): Promise<void> {
    await Promise.all(this.#copiers.map((copier) => copier.settled()));
  }

  async stop(): Promise<void> {
    for (const agent of this.#agents) agent.destroy();
    for (const door of this.#doors) door.close();
    for (const socket of this.#sockets) socket.destroy();
    await Promise.all(this.#transports.map((transport) => transport.close()));
    await Promise.all(this.#copiers.map((copier) => copier.stopReplica()));
    await Promise.all([this.upstream.close(), this.store.close()]);
  }

  #name(repository: string): string {
    return `${this.upstream.host.replace(':', '-')}/${repository}`;
  }

  async #startCopier(address: string, port: number, { cert, key }: KeyPairPem): Promise<void> {
    const placement = new Placement({ self: address, port, replicas: () => REPLICAS });
    const copier = await CopierBench.start({ LARDER_FRESH_FOR: '30s' }, undefined, {
      upstream: this.upstream,
      store: this.store,
      placement,
    });
    this.#copiers.push(copier);
    const tls = createTlsServer({ cert, key }, (client) => {
      this.#join(client, this.#keep(connect(copier.port, SERVICE)));
    });
    tls.on('tlsClientError', () => undefined);
    const door = createServer((client) => {
      this.#keep(client).on('error', () => undefined);
      const manner = this.manners.get(address) ?? { afterMs: 0 };
      if (manner !== 'frozen') setTimeout(() => tls.emit('connection', client), manner.afterMs);
    });
    await this.#listen(door, { host: address, port });
  }

  async #startProxy(copierPort: number, ca: string, patienceMs: number): Promise<void> {
    const agent = new Agent({ keepAlive: true, ca, servername: NAME });
    this.#agents.push(agent);
    const credentials = {
      authorization: () => Promise.resolve(undefined),
      renew: () => Promise.resolve(undefined),
    };
    const breaker = (): CircuitBreaker =>
      new CircuitBreaker({ failureThreshold: 1, openMs: 60_000, maxOpenMs: 60_000, probeMs: HEAD_MS });
    const copier = new Peer({
      name: 'copier',
      target: new URL(`https://${SERVICE}:${copierPort}`),
      deadlines: { signMs: SIGN_MS, headMs: HEAD_MS },
      patienceMs,
      replicas: { breaker: breaker(), now: systemClock.monotonic },
      agent: () => agent,
      credentials,
    });
    const store = new Peer({
      name: 'store',
      target: new URL(this.store.origin),
      deadlines: { signMs: HEAD_MS, headMs: HEAD_MS },
      agent: () => new Agent(),
      credentials,
    });
    const upstreams = {
      get: () => [{ host: this.upstream.host, plainHttp: true, allowAddresses: ['127.0.0.0/8'] }],
    };
    const transport = new Transport(createConnections(upstreamPolicies(upstreams), { connectMs: HEAD_MS }), {
      headMs: HEAD_MS,
      silenceMs: HEAD_MS,
    });
    this.#transports.push(transport);
    const forwarder = new Forwarder({
      origins: {
        store: new PeerOrigin('store', store),
        copier: new PeerOrigin('copier', copier),
        upstream: new UpstreamOrigin(transport, upstreams),
      },
      breaker: breaker(),
      now: systemClock.monotonic,
      onFailure: () => undefined,
    });
    const handler = pullHandler({
      forwarder,
      metrics: { observe: () => undefined },
      log: silentLogger,
      silenceMs: HEAD_MS,
      capabilities: { get: () => [] },
      isRuntime: () => Promise.resolve(true),
    });
    const port = await this.#listen(createHttpServer(handler), { host: SERVICE, port: 0 });
    this.#proxies.push(`http://${SERVICE}:${port}`);
  }

  async #listen(door: Server | HttpServer, where: { host: string; port: number }): Promise<number> {
    this.#doors.push(door);
    await once(door.listen(where), 'listening');
    return (door.address() as AddressInfo).port;
  }

  #join(one: Socket, other: Socket): void {
    this.#keep(one).pipe(other).pipe(one);
    one.on('error', () => other.destroy()).on('close', () => other.destroy());
    other.on('error', () => one.destroy()).on('close', () => one.destroy());
  }

  #keep(socket: Socket): Socket {
    this.#sockets.add(socket);
    socket.once('close', () => this.#sockets.delete(socket));
    return socket;
  }
}
