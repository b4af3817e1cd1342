/**
 * Which HTTP proxy of the site a host is reached through, by the usual variables HTTP_PROXY, HTTPS_PROXY and
 * NO_PROXY.
 */
import { BlockList, isIP } from 'node:net';
import { unbracketed } from '../../core/host.ts';

export interface OutboundProxies {
  readonly http: URL | undefined;
  readonly https: URL | undefined;
  readonly exempt: (hostname: string, port: string) => boolean;
}

/**
 * @throws TypeError when a proxy is not a URL. The message does not repeat it, since it may hold a password.
 */
export function outboundProxies(env: NodeJS.ProcessEnv): OutboundProxies {
  const read = (name: string): string => env[name.toLowerCase()] ?? env[name] ?? '';
  return {
    http: parseProxy('HTTP_PROXY', read('HTTP_PROXY')),
    https: parseProxy('HTTPS_PROXY', read('HTTPS_PROXY')),
    exempt: exemption(read('NO_PROXY')),
  };
}

/** The proxy for a URL; undefined when its host is reached directly. */
export function proxyFor({ protocol, hostname, port }: URL, proxies: OutboundProxies): URL | undefined {
  const proxy = protocol === 'https:' ? proxies.https : proxies.http;
  return proxy === undefined || proxies.exempt(unbracketed(hostname), port) ? undefined : proxy;
}

function parseProxy(name: string, value: string): URL | undefined {
  if (value === '') return undefined;
  const text = value.includes('://') ? value : `http://${value}`;
  if (!URL.canParse(text)) throw new TypeError(`${name} is not the URL of a proxy`);
  return new URL(text);
}

/**
 * Entries are `*`, a domain and all below it (with or without a leading dot or `*.`), an address, or a CIDR.
 * A domain may have a port.
 */
function exemption(list: string): (hostname: string, port: string) => boolean {
  const entries = list
    .split(',')
    .map((entry) => entry.trim().toLowerCase())
    .filter((entry) => entry !== '');
  const matchers = entries.map(matcher);
  return (hostname, port) => matchers.some((matches) => matches(hostname.toLowerCase(), port));
}

function matcher(entry: string): (hostname: string, port: string) => boolean {
  if (entry === '*') return () => true;
  const [, cidr = '', bits = ''] = /^([0-9a-f.:]+)\/([0-9]{1,3})$/.exec(entry) ?? [];
  const family = isIP(cidr);
  if (family !== 0) return inSubnet(cidr, Number(bits), family);
  if (isIP(entry) !== 0) return (hostname) => hostname === entry;
  const [, name = entry, port] = /^(.+):([0-9]{1,5})$/.exec(entry) ?? [];
  const domain = unbracketed(name.replace(/^\*?\./, ''));
  return (hostname, asked) =>
    (port === undefined || port === asked) && (hostname === domain || hostname.endsWith(`.${domain}`));
}

function inSubnet(address: string, bits: number, family: number): (hostname: string) => boolean {
  const name = family === 6 ? 'ipv6' : 'ipv4';
  const subnet = new BlockList();
  if (bits > (family === 6 ? 128 : 32)) return () => false;
  subnet.addSubnet(address, bits, name);
  return (hostname) => isIP(hostname) === family && subnet.check(hostname, name);
}
