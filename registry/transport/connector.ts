/** Opens connections: the TLS settings and the address guard of the host that is connected to, whoever asked for it. */
import { isIP } from 'node:net';
import { getCACertificates } from 'node:tls';
import { Agent, buildConnector } from 'undici';
import type { Dispatcher } from 'undici';
import type { AddressGuard } from './address-guard.ts';
import { addressRefused, createAddressGuard, guardedLookup } from './address-guard.ts';
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
  return new Agent({
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
}

function buildHostConnector(policy: ConnectionPolicy, timeout: number): Connector {
  const { ca, insecureSkipVerify, serverName, guard } = policy;
  return buildConnector({
    timeout,
    allowH2: false,
    ...(ca === undefined ? {} : { ca: [...getCACertificates('default'), ca] }),
    ...(insecureSkipVerify === true ? { rejectUnauthorized: false } : {}),
    ...(serverName === undefined ? {} : { servername: serverName }),
    ...(guard === undefined ? {} : { lookup: guardedLookup(guard) }),
  });
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
