/** Opens connections: the TLS settings and the address guard of the host that is connected to, whoever asked for it. */
import { isIP } from 'node:net';
import { Agent, buildConnector, Dispatcher, ProxyAgent } from 'undici';
import { addressRefused, guardedLookup } from './address-guard.ts';
import { tlsOf, type ConnectionPolicy, type ConnectionPolicyOf } from './connection-policy.ts';
import { proxyFor, type OutboundProxies } from './outbound-proxy.ts';
import { Wires } from './wires.ts';
import { unbracketed } from '../../core/host.ts';

export interface ConnectionOptions {
  readonly connectMs: number;
  /** Connections per origin. */
  readonly connections?: number;
  /** HTTP proxies of the site; default: none. They look names up themselves, so that the address guard sees only literal addresses. */
  readonly proxies?: OutboundProxies;
}

type Connector = ReturnType<typeof buildConnector>;

/** All ways to the hosts of one kind of peer. */
export interface Connections {
  /** For everything but bulk. */
  readonly dispatcher: Dispatcher;
  /** For bulk. */
  readonly wires: Wires;
  /** Whether bulk can go by wire there: not through an HTTP proxy of the site. */
  readonly reaches: (url: URL) => boolean;
}

/** One per process and kind of peer: it holds the connections. A `Transport` closes it. */
export function createConnections(policyOf: ConnectionPolicyOf, options: ConnectionOptions): Connections {
  const { connectMs, proxies } = options;
  return {
    dispatcher: createDispatcher(policyOf, options),
    wires: new Wires(policyOf, connectMs),
    reaches: (url) => proxies === undefined || proxyFor(url, proxies) === undefined,
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
    // A connection for each blob moves bytes better, and HTTP/2 of undici 8.12 can end the process by an unheard error event.
    allowH2: false,
    // The deadline for the head is ours (exchange.ts), since undici's knows nothing of name lookup and connecting.
    headersTimeout: 0,
    connect: (target, callback) => {
      const host = target.port === '' ? target.hostname : `${target.hostname}:${target.port}`;
      const policy = policyOf(host);
      const { guard } = policy;
      const literal = unbracketed(target.hostname);
      // Node looks up names only, so an address given as such is checked here.
      if (guard !== undefined && isIP(literal) !== 0 && !guard(literal)) {
        callback(addressRefused(host), null);
        return;
      }
      connectorOf(policy)(target, callback);
    },
  });
  return options.proxies === undefined ? agent : new ProxiedDispatcher(agent, policyOf, options.proxies);
}

/** Sends requests by the proxy of the site that their host is reached through: one agent per proxy and policy of the host. */
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
    const literal = unbracketed(url.hostname);
    if (policy.guard !== undefined && isIP(literal) !== 0 && !policy.guard(literal))
      throw addressRefused(url.host);
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
