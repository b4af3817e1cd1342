/**
 * An administrator's settings for upstreams, and what follows from them for the host of an image reference.
 */
import { readFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import { z } from 'zod';
import { globMatches } from '../../core/glob.ts';
import { RegistryError } from '../../core/errors.ts';
import { parseHost } from '../../core/host.ts';
import { DOCKER_HUB } from '../../core/reference.ts';

const upstreamSchema = z.strictObject({
  /** The host in references, with its port if it has one; a glob, for example `*.corp.example`. */
  host: z.string().min(1),
  plainHttp: z.boolean().optional(),
  /** PEM certificates, trusted in addition to the usual ones. */
  ca: z.string().optional(),
  caFile: z.string().optional(),
  insecureSkipVerify: z.boolean().optional(),
  /** Origins to try in order instead of the host itself. Their TLS settings are in entries of their own. */
  endpoints: z.array(z.url({ protocol: /^https?$/ })).optional(),
  /**
   * Sends the credentials of `host` to all `endpoints`. Otherwise each gets those that pull secrets hold for
   * its own name.
   */
  shareCredentials: z.boolean().optional(),
  /** Hosts of another domain that may ask for this registry's credentials. */
  tokenHosts: z.array(z.string()).optional(),
  /** Addresses or CIDRs that are otherwise refused (loopback, link-local, metadata services). */
  allowAddresses: z
    .array(z.string().regex(/^[0-9a-fA-F.:]+(\/[0-9]{1,3})?$/, 'must be an address or a CIDR'))
    .optional(),
});

const DOCKER_HUB_REGISTRY = 'registry-1.docker.io';

export const upstreamSettingsSchema = z.array(upstreamSchema);
export type UpstreamSettings = z.infer<typeof upstreamSchema>;

/** Where to reach a registry. */
export interface Endpoint {
  /** Scheme, host and port, for example `https://registry-1.docker.io`. */
  readonly origin: string;
  readonly tokenHosts: readonly string[];
}

/** One of the places that have the images of a host. */
export interface UpstreamEndpoint extends Endpoint {
  /** The host, as in references, whose credentials may be sent there. */
  readonly credentialHost: string;
}

/** Settings that may change while a process runs. */
export interface UpstreamSettingsSource {
  /** Returns the same array until something changes. */
  get(): readonly UpstreamSettings[];
}

/**
 * The files that the settings consist of: first the settings file, then the certificates that it names.
 * @param path undefined: there are no settings, and so no files
 * @throws as `parseUpstreamSettings`
 */
export async function upstreamFiles(path: string | undefined): Promise<string[]> {
  if (path === undefined) return [];
  const entries = parseFile(path, await readFile(path));
  return [path, ...new Set(entries.flatMap(({ caFile }) => caFile ?? []))];
}

/**
 * A certificate file that is absent is left out: that affects its own registry only.
 * @param paths from `upstreamFiles`
 * @param contents of those files; undefined for one that is absent
 * @throws RegistryError with reason `Invalid`; the message says what is wrong in the file
 */
export function parseUpstreamSettings(
  paths: readonly string[],
  contents: readonly (Buffer | undefined)[],
): UpstreamSettings[] {
  const [path] = paths;
  if (path === undefined) return [];
  return parseFile(path, contents[0]).map(({ caFile, ...entry }) => {
    const file = caFile === undefined ? undefined : contents[paths.indexOf(caFile)];
    const certificates = [entry.ca, file?.toString('utf8')].filter((pem) => pem !== undefined);
    return certificates.length === 0 ? entry : { ...entry, ca: certificates.join('\n') };
  });
}

function parseFile(path: string, content: Buffer | undefined): UpstreamSettings[] {
  let json: unknown;
  try {
    json = JSON.parse(content?.toString('utf8') ?? '');
  } catch (cause) {
    throw new RegistryError(`${path} cannot be read as JSON`, { reason: 'Invalid', cause });
  }
  const result = upstreamSettingsSchema.safeParse(json);
  if (result.success) return result.data;
  throw new RegistryError(`${path}: ${z.prettifyError(result.error)}`, { reason: 'Invalid' });
}

/** The entry for a host: the one that names it exactly, else the first whose glob matches. */
export function settingsFor(
  settings: readonly UpstreamSettings[],
  host: string,
): UpstreamSettings | undefined {
  return (
    settings.find((entry) => entry.host === host) ?? settings.find((entry) => globMatches(entry.host, host))
  );
}

/** At least one, in the order in which to try them. */
export function endpointsOf(settings: readonly UpstreamSettings[], host: string): UpstreamEndpoint[] {
  const entry = settingsFor(settings, host);
  const { endpoints = [], tokenHosts = [], shareCredentials = false } = entry ?? {};
  const scheme = (entry?.plainHttp ?? isLoopbackHost(host)) ? 'http' : 'https';
  // References call Docker Hub docker.io, but its registry has another host name.
  const address = host === DOCKER_HUB ? DOCKER_HUB_REGISTRY : host;
  if (endpoints.length === 0) return [{ origin: `${scheme}://${address}`, tokenHosts, credentialHost: host }];
  return endpoints.map((endpoint) => {
    const url = new URL(endpoint);
    // A credential belongs to one registry. Another one, even with the same images, gets its own or none.
    const credentialHost = shareCredentials || url.host === address ? host : url.host;
    return { origin: url.origin, tokenHosts, credentialHost };
  });
}

/** Runtimes use plain http for a registry on their own machine unless told otherwise. */
function isLoopbackHost(host: string): boolean {
  const hostname = parseHost(host)?.hostname ?? '';
  return (
    hostname === 'localhost' || hostname === '[::1]' || (isIP(hostname) === 4 && hostname.startsWith('127.'))
  );
}
