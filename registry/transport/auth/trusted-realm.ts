/**
 * Which token servers a registry may send us to: a realm anywhere else could collect credentials
 * (CVE-2026-33540).
 */
import { isIP } from 'node:net';
import { RegistryError } from '../../core/errors.ts';
import type { Endpoint } from '../settings/upstream-settings.ts';

/**
 * The realm's URL. It has to be on the registry's host, on its registrable domain, or on a host that an
 * administrator listed, and may use plain http only when the registry does.
 * @throws RegistryError with reason `Forbidden` for any other realm
 */
export async function trustedRealm(realm: string, endpoint: Endpoint): Promise<URL> {
  const registry = new URL(endpoint.origin);
  if (!URL.canParse(realm)) throw refused(registry, 'something that is not a URL');
  const url = new URL(realm);
  if (url.protocol !== 'https:' && !(url.protocol === 'http:' && registry.protocol === 'http:')) {
    throw refused(registry, `${url.protocol}//${url.host}`);
  }
  const trusted = url.hostname === registry.hostname || endpoint.tokenHosts.includes(url.host);
  if (!trusted && !(await sameDomain(url, registry))) throw refused(registry, url.host);
  url.username = '';
  url.password = '';
  return url;
}

/** A domain under which anyone may register, such as `github.io`, does not count as a common one. */
async function sameDomain(a: URL, b: URL): Promise<boolean> {
  if (isIP(a.hostname) !== 0) return false;
  // Loaded only when needed: the list of public suffixes takes megabytes, and most token servers share the
  // host.
  const { getDomain } = await import('tldts');
  const domain = getDomain(a.hostname, { allowPrivateDomains: true });
  return domain !== null && domain === getDomain(b.hostname, { allowPrivateDomains: true });
}

function refused(registry: URL, realm: string): RegistryError {
  return new RegistryError(
    `${registry.host} asks for its credentials at ${realm}, which is outside its domain`,
    { reason: 'Forbidden' },
  );
}
