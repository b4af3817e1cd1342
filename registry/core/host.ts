/**
 * Registry hosts in image references: a name, an IPv4 address or a bracketed IPv6 address, perhaps with a
 * port.
 */

export interface HostParts {
  /** A lower-case host name, an IPv4 address, or a bracketed IPv6 address as RFC 5952 writes it. */
  readonly hostname: string;
  /** Decimal, 1 to 65535. */
  readonly port?: string;
}

const HOST =
  /^(\[[0-9a-f:.]+\]|[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*)(?::([0-9]{1,10}))?$/;

/**
 * Undefined when the text is not a host. Returns letters in lower case, and the port without leading zeros.
 */
export function parseHost(text: string): HostParts | undefined {
  if (text.length > 255) return undefined;
  const [, rawName = '', rawPort] = HOST.exec(text.toLowerCase()) ?? [];
  const hostname = rawName.startsWith('[') ? canonicalIpv6(rawName) : rawName;
  if (hostname === undefined || hostname === '') return undefined;
  if (rawPort === undefined) return { hostname };
  const port = Number(rawPort);
  return port >= 1 && port <= 65535 ? { hostname, port: String(port) } : undefined;
}

export function formatHost(host: HostParts): string {
  return host.port === undefined ? host.hostname : `${host.hostname}:${host.port}`;
}

/**
 * Whether the first component of a reference names a host rather than a part of a repository on Docker Hub.
 */
export function looksLikeHost(component: string): boolean {
  return component === 'localhost' || /[.:]/.test(component);
}

/** Whether a registry is on the node itself: only the node can reach it, the copier cannot. */
export function isLoopback(host: string): boolean {
  return /^(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d+)?$/.test(host);
}

/** A host as a URL has it: an IPv6 address in brackets, everything else as it is. */
export function bracketed(host: string): string {
  return host.includes(':') ? `[${host}]` : host;
}

/** The host name of a URL as sockets and certificates have it: an IPv6 address without its brackets. */
export function unbracketed(hostname: string): string {
  return hostname.replaceAll(/^\[|\]$/g, '');
}

/** The eight groups of a bracketed IPv6 address, in hex without leading zeros. */
export function ipv6Groups(hostname: string): string[] {
  const [head = '', tail] = hostname.slice(1, -1).split('::');
  const groups = (text: string): string[] => (text === '' ? [] : text.split(':'));
  if (tail === undefined) return groups(head);
  const missing = 8 - groups(head).length - groups(tail).length;
  return [...groups(head), ...Array<string>(missing).fill('0'), ...groups(tail)];
}

/**
 * In the form of RFC 5952 section 4, which is what URL's parser produces; undefined when it is not an
 * address.
 */
export function canonicalIpv6(bracketed: string): string | undefined {
  const url = `http://${bracketed}/`;
  return URL.canParse(url) ? new URL(url).hostname : undefined;
}
