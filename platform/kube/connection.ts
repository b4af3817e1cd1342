/** How to reach and talk to the API server: address, trust and credentials, from the Pod or from a kubeconfig. */
import type { RequestOptions } from 'node:https';
import { KubeConfig } from '@kubernetes/client-node';
import { Agent, type Dispatcher } from 'undici';
import { systemClock, type Clock } from '../clock.ts';
import type { Component } from '../run.ts';

/** Credentials are asked for again this often; tokens of Pods are replaced long before they expire. */
const CREDENTIALS_FRESH_MS = 30_000;

export interface Connection {
  readonly server: URL;
  /** The one dispatcher of the process: connections are shared by every request. */
  readonly dispatcher: () => Promise<Dispatcher>;
  /** The headers that authenticate a request. */
  readonly headers: () => Promise<Record<string, string>>;
  readonly close: () => Promise<void>;
}

/** Where the API server is named: `file` is a kubeconfig; without one the Pod's ServiceAccount, or kubectl's defaults. */
export function loadKubeConfig(file?: string): KubeConfig {
  const config = new KubeConfig();
  if (file !== undefined) config.loadFromFile(file);
  else if (process.env['KUBERNETES_SERVICE_HOST'] && !process.env['KUBECONFIG']) config.loadFromCluster();
  else config.loadFromDefault();
  return config;
}

/**
 * Connects by a KubeConfig, whose authentication (tokens, client certificates, exec plugins) is the client library's.
 * @throws when the config names no cluster
 */
export function connect(config: KubeConfig, clock = systemClock): Connection {
  const cluster = config.getCurrentCluster();
  if (!cluster) throw new Error('the kubeconfig has no current cluster');
  const credentials = new Credentials(config, clock);
  return {
    server: new URL(cluster.server),
    dispatcher: async () => (await credentials.current()).agent,
    headers: async () => (await credentials.current()).headers,
    close: () => credentials.close(),
  };
}

/** Closes the connection when it stops. Start it first, so that it stops last. */
export function connectionComponent(connection: Connection): Component {
  return { name: 'Kubernetes API', start: () => Promise.resolve({ stop: connection.close }) };
}

interface Current {
  readonly agent: Agent;
  readonly headers: Record<string, string>;
}

/** Refreshes credentials, and replaces the agent only when the TLS material changed. */
class Credentials {
  readonly #config: KubeConfig;
  readonly #clock: Clock;
  #refreshing: Promise<Current> | undefined;
  #freshUntil = 0;
  #agent: Agent | undefined;
  #material = '';

  constructor(config: KubeConfig, clock: Clock) {
    this.#config = config;
    this.#clock = clock;
  }

  current(): Promise<Current> {
    const now = this.#clock.monotonic();
    if (!this.#refreshing || now >= this.#freshUntil) {
      this.#freshUntil = now + CREDENTIALS_FRESH_MS;
      this.#refreshing = this.#refresh();
      this.#refreshing.catch(() => {
        this.#freshUntil = 0;
      });
    }
    return this.#refreshing;
  }

  async close(): Promise<void> {
    this.#freshUntil = 0;
    this.#refreshing = undefined;
    await this.#agent?.destroy();
  }

  async #refresh(): Promise<Current> {
    const options: RequestOptions = {};
    await this.#config.applyToHTTPSOptions(options);
    const { ca, cert, key, servername, rejectUnauthorized } = options;
    const tls = { ca, cert, key, servername, rejectUnauthorized };
    const material = JSON.stringify(Object.values(tls).map(String));
    if (!this.#agent || material !== this.#material) {
      const former = this.#agent;
      this.#material = material;
      this.#agent = newAgent(tls);
      void former?.close(); // what is under way on it may finish
    }
    const headers: Record<string, string> = {};
    for (const [name, value] of Object.entries(options.headers ?? {}))
      headers[name.toLowerCase()] = String(value);
    if (options.auth) headers['authorization'] ??= `Basic ${Buffer.from(options.auth).toString('base64')}`;
    return { agent: this.#agent, headers };
  }
}

function newAgent(
  tls: Pick<RequestOptions, 'ca' | 'cert' | 'key' | 'servername' | 'rejectUnauthorized'>,
): Agent {
  const given = Object.fromEntries(Object.entries(tls).filter(([, value]) => value !== undefined));
  return new Agent({
    // HTTP/2 of undici 8.12 ends an idle session by an error event that nobody may be listening to, and with it the process.
    allowH2: false,
    // A watch holds its connection, so the number is not bounded; requests queue nowhere.
    connect: { ...given, keepAlive: true, keepAliveInitialDelay: 30_000, timeout: 10_000 },
    // Watches are silent for a while; every caller sets its own deadline.
    bodyTimeout: 0,
    headersTimeout: 0,
  });
}
