/** What an administrator may say about upstreams, and what follows from it for a host of an image reference. */
import { readFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import { z } from 'zod';
import { globMatches } from '../../core/glob.ts';
import { RegistryError } from '../../core/errors.ts';
import { parseHost } from '../../core/host.ts';
import { DOCKER_HUB } from '../../core/reference.ts';

const upstreamSchema = z.strictObject({
  /** Host of references, with its port if it has one; a glob, for example `*.corp.example`. */
  host: z.string().min(1),
  plainHttp: z.boolean().optional(),
  /** PEM certificates trusted beside the usual ones. */
  ca: z.string().optional(),
  caFile: z.string().optional(),
  insecureSkipVerify: z.boolean().optional(),
  /** Origins tried in order instead of the host itself; how to speak TLS to them is said by their own entries. */
  endpoints: z.array(z.url({ protocol: /^https?$/ })).optional(),
  /** Shows the credentials of `host` to all `endpoints`; else each gets those that pull secrets hold for its own name. */
  shareCredentials: z.boolean().optional(),
  /** Hosts that may ask for this registry's credentials although they are of another domain. */
  tokenHosts: z.array(z.string()).optional(),
  /** Addresses or CIDRs that are refused otherwise (loopback, link-local, metadata services). */
  allowAddresses: z
    .array(z.string().regex(/^[0-9a-fA-F.:]+(\/[0-9]{1,3})?$/, 'must be an address or a CIDR'))
    .optional(),
});

const DOCKER_HUB_REGISTRY = 'registry-1.docker.io';

export const upstreamSettingsSchema = z.array(upstreamSchema);
export type UpstreamSettings = z.infer<typeof upstreamSchema>;

/** Where a registry is reached. */
export interface Endpoint {
  /** Scheme, host and port, for example `https://registry-1.docker.io`. */
  readonly origin: string;
  readonly tokenHosts: readonly string[];
}

/** One of the places where the images of a host are had. */
export interface UpstreamEndpoint extends Endpoint {
  /** The host, as references name it, whose credentials may be shown there. */
  readonly credentialHost: string;
}

/** Settings that may change while they are in use. */
export interface UpstreamSettingsSource {
  /** The same array as long as nothing has changed. */
  get(): readonly UpstreamSettings[];
}

/**
 * The files that settings consist of: their own, then the certificates that it names; none for no settings.
 * @throws as `parseUpstreamSettings`
 */
export async function upstreamFiles(path: string | undefined): Promise<string[]> {
  if (path === undefined) return [];
  const entries = parseFile(path, await readFile(path));
  return [path, ...new Set(entries.flatMap(({ caFile }) => caFile ?? []))];
}

/**
 * An authority whose file is absent is not trusted yet, which concerns its registry only.
 * @param paths from `upstreamFiles`
 * @param contents of those files; undefined for one that is absent
 * @throws RegistryError with reason `Invalid`, whose message says what is wrong in the file
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

/** The entry for a host: one that names it exactly, else the first whose glob matches. */
export function settingsFor(
  settings: readonly UpstreamSettings[],
  host: string,
): UpstreamSettings | undefined {
  return (
    settings.find((entry) => entry.host === host) ?? settings.find((entry) => globMatches(entry.host, host))
  );
}

/** At least one; the later ones are for when the earlier do not help. */
export function endpointsOf(settings: readonly UpstreamSettings[], host: string): UpstreamEndpoint[] {
  const entry = settingsFor(settings, host);
  const { endpoints = [], tokenHosts = [], shareCredentials = false } = entry ?? {};
  const scheme = (entry?.plainHttp ?? isLoopbackHost(host)) ? 'http' : 'https';
  // Docker Hub's registry does not live under the name by which references know it.
  const address = host === DOCKER_HUB ? DOCKER_HUB_REGISTRY : host;
  if (endpoints.length === 0) return [{ origin: `${scheme}://${address}`, tokenHosts, credentialHost: host }];
  return endpoints.map((endpoint) => {
    const url = new URL(endpoint);
    // A credential belongs to one registry: another one, also one that has the same images, gets its own or none.
    const credentialHost = shareCredentials || url.host === address ? host : url.host;
    return { origin: url.origin, tokenHosts, credentialHost };
  });
}

/** Every runtime speaks plain http to a registry on its own machine unless told otherwise. */
function isLoopbackHost(host: string): boolean {
  const hostname = parseHost(host)?.hostname ?? '';
  return (
    hostname === 'localhost' || hostname === '[::1]' || (isIP(hostname) === 4 && hostname.startsWith('127.'))
  );
}
