/** Opens connections: the TLS settings and the address guard of the host that is connected to, whoever asked for it. */
import { isIP } from 'node:net';
import { getCACertificates } from 'node:tls';
import { Agent, buildConnector, Dispatcher, ProxyAgent } from 'undici';
import type { AddressGuard } from './address-guard.ts';
import { addressRefused, createAddressGuard, guardedLookup } from './address-guard.ts';
import { proxyFor, type OutboundProxies } from './outbound-proxy.ts';
import type { UpstreamSettings, UpstreamSettingsSource } from './upstream-settings.ts';
import { settingsFor } from './upstream-settings.ts';

/** How to connect to one host. */
export interface ConnectionPolicy {
  /** PEM certificates trusted beside the usual ones. */
  readonly ca?: string | undefined;
  readonly insecureSkipVerify?: boolean | undefined;
  /** Name expected in the certificate, when it is not the host's. */
  readonly serverName?: string | undefined;
  /** Absent for peers of ours, whose addresses the administrator gave. */
  readonly guard?: AddressGuard;
}

/** @param host as it stands in a URL: with its port unless that is the scheme's own */
export type ConnectionPolicyOf = (host: string) => ConnectionPolicy;

export interface DispatcherOptions {
  readonly connectMs: number;
  /** Connections per origin. */
  readonly connections?: number;
  /** HTTP proxies of the site; default: none. They look names up themselves, so that the address guard sees only literal addresses. */
  readonly proxies?: OutboundProxies;
}

type Connector = ReturnType<typeof buildConnector>;

/** Every connection that an upstream can lead to is guarded, also those that redirects and token realms name. */
export function upstreamPolicies(source: UpstreamSettingsSource): ConnectionPolicyOf {
  return following(source, ({ ca, insecureSkipVerify, allowAddresses = [] }) => {
    return { ca, insecureSkipVerify, guard: createAddressGuard(allowAddresses) };
  });
}

/** For a store that the administrator named: its TLS settings stand among those of the upstreams, its address is trusted. */
export function storePolicies(source: UpstreamSettingsSource): ConnectionPolicyOf {
  return following(source, ({ ca, insecureSkipVerify }) => ({ ca, insecureSkipVerify }));
}

/** Made once per host; changed settings are heeded by every connection that is opened later. */
function following(
  source: UpstreamSettingsSource,
  policyFor: (settings: Partial<UpstreamSettings>) => ConnectionPolicy,
): ConnectionPolicyOf {
  let settings: readonly UpstreamSettings[] | undefined;
  let policyOf: ConnectionPolicyOf = () => ({});
  return (host) => {
    const current = source.get();
    if (current !== settings) {
      settings = current;
      policyOf = memoise((each) => policyFor(settingsFor(current, each) ?? {}));
    }
    return policyOf(host);
  };
}

/** One per process and kind of peer: it holds the connections. Close it at shutdown. */
export function createDispatcher(policyOf: ConnectionPolicyOf, options: DispatcherOptions): Dispatcher {
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
      const literal = target.hostname.replaceAll(/^\[|\]$/g, '');
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
    const literal = url.hostname.replaceAll(/^\[|\]$/g, '');
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

function tlsOf({ ca, insecureSkipVerify, serverName }: ConnectionPolicy): {
  ca?: string[];
  rejectUnauthorized?: false;
  servername?: string;
} {
  return {
    ...(ca === undefined ? {} : { ca: [...getCACertificates('default'), ca] }),
    ...(insecureSkipVerify === true ? { rejectUnauthorized: false } : {}),
    ...(serverName === undefined ? {} : { servername: serverName }),
  };
}

const MAX_REMEMBERED_HOSTS = 1000;

function memoise<T>(compute: (host: string) => T): (host: string) => T {
  const known = new Map<string, T>();
  return (host) => {
    const found = known.get(host);
    if (found !== undefined) return found;
    if (known.size >= MAX_REMEMBERED_HOSTS) known.clear();
    const value = compute(host);
    known.set(host, value);
    return value;
  };
}
