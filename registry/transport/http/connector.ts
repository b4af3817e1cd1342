/** Opens connections, each with the TLS settings and the address guard of the host that it leads to. */
import { Agent, buildConnector, Dispatcher, ProxyAgent } from 'undici';
import { checkLiteralAddress, guardedLookup } from './address-guard.ts';
import { tlsOf, type ConnectionPolicy, type ConnectionPolicyOf } from './connection-policy.ts';
import { proxyFor, type OutboundProxies } from './outbound-proxy.ts';
import { ConnectionPool } from './connection-pool.ts';

export interface ConnectionOptions {
  readonly connectMs: number;
  /** Connections per origin. */
  readonly connections?: number;
  /**
   * HTTP proxies of the site. Default: none. They look up names themselves, so the address guard can check
   * only hosts that are given as addresses.
   */
  readonly proxies?: OutboundProxies;
}

type Connector = ReturnType<typeof buildConnector>;

/** How the hosts of one kind of peer are connected to. */
export interface Connections {
  /** For everything but bulk. */
  readonly dispatcher: Dispatcher;
  /** For bulk, to hosts that are reached directly. */
  readonly pool: ConnectionPool;
  /** Whether a host is reached directly, not through an HTTP proxy of the site. */
  readonly isDirect: (url: URL) => boolean;
}

/** One per process and kind of peer. The `Transport` that is given them closes them. */
export function createConnections(policyOf: ConnectionPolicyOf, options: ConnectionOptions): Connections {
  const { connectMs, proxies } = options;
  return {
    dispatcher: createDispatcher(policyOf, options),
    pool: new ConnectionPool(policyOf, connectMs),
    isDirect: (url) => proxies === undefined || proxyFor(url, proxies) === undefined,
  };
}

function createDispatcher(policyOf: ConnectionPolicyOf, options: ConnectionOptions): Dispatcher {
  const connectors = new WeakMap<ConnectionPolicy, Connector>();
  const connectorOf = (policy: ConnectionPolicy): Connector => {
    const connector = connectors.get(policy) ?? buildHostConnector(policy, options.connectMs);
    connectors.set(policy, connector);
    return connector;
  };
  const agent = new Agent({
    connections: options.connections ?? 64,
    // A connection per blob moves bytes faster, and undici 8.12 can end the process over HTTP/2 by an error
    // event that nobody hears.
    allowH2: false,
    // exchange.ts has the deadline for the head: undici's leaves out name lookup and connecting.
    headersTimeout: 0,
    connect: (target, callback) => {
      const host = target.port === '' ? target.hostname : `${target.hostname}:${target.port}`;
      const policy = policyOf(host);
      try {
        checkLiteralAddress({ host, hostname: target.hostname }, policy.guard);
      } catch (error) {
        callback(error as Error, null);
        return;
      }
      connectorOf(policy)(target, callback);
    },
  });
  return options.proxies === undefined ? agent : new ProxiedDispatcher(agent, policyOf, options.proxies);
}

/**
 * Sends requests through the HTTP proxy that the site has for their host. One agent per proxy and policy of
 * the host.
 */
class ProxiedDispatcher extends Dispatcher {
  readonly #direct: Agent;
  readonly #policyOf: ConnectionPolicyOf;
  readonly #proxies: OutboundProxies;
  readonly #agents = new WeakMap<ConnectionPolicy, Map<string, ProxyAgent>>();
  readonly #all: ProxyAgent[] = [];

  constructor(direct: Agent, policyOf: ConnectionPolicyOf, proxies: OutboundProxies) {
    super();
    this.#direct = direct;
    this.#policyOf = policyOf;
    this.#proxies = proxies;
  }

  override dispatch(request: Dispatcher.DispatchOptions, handler: Dispatcher.DispatchHandler): boolean {
    const url = new URL(String(request.origin));
    const proxy = proxyFor(url, this.#proxies);
    if (proxy === undefined) return this.#direct.dispatch(request, handler);
    const policy = this.#policyOf(url.host);
    checkLiteralAddress(url, policy.guard);
    return this.#agent(proxy, policy).dispatch(request, handler);
  }

  override async close(): Promise<void> {
    await Promise.all([this.#direct, ...this.#all].map((each) => each.close()));
  }

  #agent(proxy: URL, policy: ConnectionPolicy): ProxyAgent {
    const known = this.#agents.get(policy) ?? new Map<string, ProxyAgent>();
    this.#agents.set(policy, known);
    const found = known.get(proxy.href);
    if (found !== undefined) return found;
    const made = new ProxyAgent({ uri: proxy.href, requestTls: tlsOf(policy), headersTimeout: 0 });
    known.set(proxy.href, made);
    this.#all.push(made);
    return made;
  }
}

function buildHostConnector(policy: ConnectionPolicy, timeout: number): Connector {
  const { guard } = policy;
  return buildConnector({
    timeout,
    allowH2: false,
    ...tlsOf(policy),
    ...(guard === undefined ? {} : { lookup: guardedLookup(guard) }),
  });
}
