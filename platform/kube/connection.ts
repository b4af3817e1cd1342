/**
 * The connection to the API server: address, CA and credentials, from the Pod's ServiceAccount or a
 * kubeconfig.
 */
import type { RequestOptions } from 'node:https';
import { KubeConfig } from '@kubernetes/client-node';
import { Agent, type Dispatcher } from 'undici';
import { systemClock, type Clock } from '../clock.ts';
import type { Component } from '../run.ts';

/** How often credentials are read again. The kubelet replaces a Pod's token long before it expires. */
const CREDENTIALS_FRESH_MS = 30_000;

export interface Connection {
  readonly server: URL;
  /** One for the whole process, so that all requests share its connections. */
  readonly dispatcher: () => Promise<Dispatcher>;
  /** The headers that authenticate a request. */
  readonly headers: () => Promise<Record<string, string>>;
  readonly close: () => Promise<void>;
}

/** @param file a kubeconfig; absent: the Pod's ServiceAccount, or what kubectl would find */
export function loadKubeConfig(file?: string): KubeConfig {
  const config = new KubeConfig();
  if (file !== undefined) config.loadFromFile(file);
  else if (process.env['KUBERNETES_SERVICE_HOST'] && !process.env['KUBECONFIG']) config.loadFromCluster();
  else config.loadFromDefault();
  return config;
}

/**
 * Connects as a KubeConfig says. The client library does the authentication: tokens, client certificates,
 * exec plugins.
 * @throws when the config has no current cluster
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

/** Refreshes the credentials, and replaces the agent only when the TLS material has changed. */
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
      void former?.close(); // requests under way on it may finish
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
    // With HTTP/2, undici 8.12 ends an idle session by an error event, which ends the process if nobody
    // listens to it.
    allowH2: false,
    // No limit on connections: each watch holds one, and requests must not queue behind it.
    connect: { ...given, keepAlive: true, keepAliveInitialDelay: 30_000, timeout: 10_000 },
    // Watches may be silent for long; callers set their own deadlines.
    bodyTimeout: 0,
    headersTimeout: 0,
  });
}
