/** How to connect to hosts: which certificates are trusted, and which addresses are refused. */
import { getCACertificates } from 'node:tls';
import { createAddressGuard, type AddressGuard } from './address-guard.ts';
import {
  settingsFor,
  type UpstreamSettings,
  type UpstreamSettingsSource,
} from '../settings/upstream-settings.ts';

/** How to connect to one host. */
export interface ConnectionPolicy {
  /** PEM certificates, trusted in addition to the usual ones. */
  readonly ca?: string | undefined;
  readonly insecureSkipVerify?: boolean | undefined;
  /** The name that the certificate must have, when it is not the host's. */
  readonly serverName?: string | undefined;
  /** Absent for our own peers: the administrator gave their addresses. */
  readonly guard?: AddressGuard;
}

/** @param host as in a URL: with its port, unless that is the scheme's default */
export type ConnectionPolicyOf = (host: string) => ConnectionPolicy;

/** Guards every connection that an upstream can lead to, also through redirects and token realms. */
export function upstreamPolicies(source: UpstreamSettingsSource): ConnectionPolicyOf {
  return following(source, ({ ca, insecureSkipVerify, allowAddresses = [] }) => {
    return { ca, insecureSkipVerify, guard: createAddressGuard(allowAddresses) };
  });
}

/**
 * For the store: its TLS settings are among the upstreams', and its address is trusted, since the
 * administrator gave it.
 */
export function storePolicies(source: UpstreamSettingsSource): ConnectionPolicyOf {
  return following(source, ({ ca, insecureSkipVerify }) => ({ ca, insecureSkipVerify }));
}

/** The policy as options of Node's `tls.connect`. */
export function tlsOf({ ca, insecureSkipVerify, serverName }: ConnectionPolicy): {
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

/** Makes a policy once per host. Changed settings apply to every connection opened after the change. */
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
