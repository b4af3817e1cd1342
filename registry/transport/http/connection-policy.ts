/** How hosts are connected to: what is trusted, and which addresses may not be reached. */
import { getCACertificates } from 'node:tls';
import { createAddressGuard, type AddressGuard } from './address-guard.ts';
import {
  settingsFor,
  type UpstreamSettings,
  type UpstreamSettingsSource,
} from '../settings/upstream-settings.ts';

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

/** As options of Node's TLS. */
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
