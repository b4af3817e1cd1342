/** Cached names: an image's name as a repository in the store, and back, for every host there can be. */
import { digestAlgorithm, digestHex } from './digest.ts';
import { canonicalIpv6, formatHost, ipv6Groups, looksLikeHost, parseHost } from './host.ts';
import {
  DOCKER_HUB,
  formatReference,
  InvalidReference,
  isRepositoryName,
  MAX_REPOSITORY_LENGTH,
  normaliseName,
  type Reference,
  reference,
} from './reference.ts';

/**
 * A repository in the cache. `tenant` is the namespace whose credentials fetched it; without a tenant it is
 * public.
 */
export interface CachedName {
  readonly tenant?: string;
  readonly host: string;
  readonly repository: string;
}

const TENANT_SUFFIX = '.tenant';
/** The first component of a tenant's name, perhaps with a capability (`capability.ts`). */
const TENANT_COMPONENT = /^(.*)\.tenant(?:\.([0-9a-v]{26}))?$/;
/** Marks a host without a port that would otherwise be taken for something else. Hosts never contain `_`. */
const HOST_SUFFIX = '_host';
const IPV6_PREFIX = 'ipv6_';
const ENDS_LIKE_PORT = /^(.+)-([0-9]+)$/;
const NAMESPACE = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;

/** The repository's name in the store: reversible, and valid by OCI's grammar, though it may be too long. */
export function encodeCachedName(name: CachedName): string {
  const tenant = name.tenant === undefined ? '' : `${name.tenant}${TENANT_SUFFIX}/`;
  return `${tenant}${encodeHost(name.host)}/${name.repository}`;
}

/**
 * The inverse of `encodeCachedName`. A name without a host, as kube-image-keeper 1.x wrote them, is Docker
 * Hub's.
 * @throws InvalidReference
 */
export function decodeCachedName(path: string): CachedName {
  const { cached, capability } = decodePulledName(path);
  if (capability !== undefined)
    throw new InvalidReference('a name in the cache carries no capability; only the name in a Pod does');
  return cached;
}

/** A cached name as it stands in a Pod: a tenant's carries what admission handed out. */
export interface PulledName {
  readonly cached: CachedName;
  readonly capability?: string;
}

/** @throws InvalidReference */
export function decodePulledName(path: string): PulledName {
  if (!isRepositoryName(path))
    throw new InvalidReference(`${JSON.stringify(path.slice(0, 80))} is not a valid repository name`);
  const components = path.split('/');
  const [, tenant, capability] = TENANT_COMPONENT.exec(components[0] ?? '') ?? [];
  if (components.length > 1 && tenant !== undefined) {
    const cached = { tenant: checkedNamespace(tenant), ...decodeHosted(components.slice(1)) };
    return capability === undefined ? { cached } : { cached, capability };
  }
  return {
    cached: hasNoHost(components) ? normaliseName(DOCKER_HUB, path) : decodeHosted(components),
  };
}

/** A name below `<namespace>.tenant/`. */
export type TenantName = CachedName & { readonly tenant: string };

/**
 * Makes what the name of a tenant's image in a Pod carries; see `makeCapability`. Undefined while no key may
 * be used.
 */
export type CapabilityOf = (name: TenantName) => string | undefined;

/**
 * The image that a pod is given: the same tag and digest behind the proxy, for example
 * `localhost:7439/docker.io/library/nginx:1.27`. Undefined when the repository's name would be too long, or
 * there is no capability to put into it.
 * @param proxyHost host and port at which nodes reach the proxy
 */
export function rewriteImage(
  image: Reference,
  tenant: string | undefined,
  { proxyHost, capabilityOf }: { readonly proxyHost: string; readonly capabilityOf: CapabilityOf },
): string | undefined {
  const { host, repository } = image;
  const path =
    tenant === undefined
      ? encodeCachedName({ host, repository })
      : encodePulledName({ tenant, host, repository }, capabilityOf);
  if (path === undefined || path.length > MAX_REPOSITORY_LENGTH) return undefined;
  return formatReference({ ...image, host: proxyHost, repository: path });
}

function encodePulledName(name: TenantName, capabilityOf: CapabilityOf): string | undefined {
  const { host, repository } = name;
  const capability = capabilityOf(name);
  if (capability === undefined) return undefined;
  return `${name.tenant}${TENANT_SUFFIX}.${capability}/${encodeCachedName({ host, repository })}`;
}

export interface RestoredImage {
  readonly reference: Reference;
  readonly tenant?: string;
  readonly capability?: string;
}

/**
 * The original of a rewritten image; undefined for an image that is not one of ours.
 * @throws InvalidReference when it goes through the proxy but is no cached name
 */
export function restoreImage(image: Reference, proxyHost: string): RestoredImage | undefined {
  if (image.host !== proxyHost) return undefined;
  const { cached, capability } = decodePulledName(image.repository);
  const { tenant, ...name } = cached;
  return {
    reference: reference(name, image.tag, image.digest),
    ...(tenant === undefined ? {} : { tenant }),
    ...(capability === undefined ? {} : { capability }),
  };
}

/**
 * The image that was asked for in the first place; the very object that is given when it is not one of ours.
 * An image may have been rewritten more than once, and a tenant in its name may be forged: it is dropped.
 * @throws InvalidReference when it goes through the proxy but is no cached name
 */
export function originalOf(image: Reference, proxyHost: string): Reference {
  const restored = restoreImage(image, proxyHost);
  return restored === undefined ? image : originalOf(restored.reference, proxyHost);
}

/** The reference as the cache distinguishes images: a digest decides alone, so a tag beside it is dropped. */
export function cacheReference(image: Reference): Reference {
  return image.digest === undefined ? image : reference(image, undefined, image.digest);
}

const ANCHOR_HEX_LENGTH = 64;

/**
 * The tag of a reference in the store. A digest gets a tag of ours, for example `larder-sha256-…`, so that no
 * registry collects it as untagged.
 */
export function storeTag(image: Reference): string {
  const { digest, tag } = image;
  if (digest === undefined) return tag ?? 'latest';
  return `larder-${digestAlgorithm(digest)}-${digestHex(digest).slice(0, ANCHOR_HEX_LENGTH)}`;
}

function encodeHost(host: string): string {
  const parts = parseHost(host);
  if (parts === undefined) throw new InvalidReference(`${JSON.stringify(host)} is not a valid registry host`);
  const { hostname, port } = parts;
  const name = hostname.startsWith('[') ? IPV6_PREFIX + ipv6Groups(hostname).join('_') : hostname;
  if (port !== undefined) return `${name}-${port}`;
  return needsHostSuffix(name) ? name + HOST_SUFFIX : name;
}

function decodeHosted(components: readonly string[]): { host: string; repository: string } {
  const [first = '', ...rest] = components;
  const host = decodeHost(first);
  if (host === undefined || rest.length === 0) {
    throw new InvalidReference(`${JSON.stringify(components.join('/'))} does not begin with a registry host`);
  }
  return normaliseName(host, rest.join('/'));
}

function decodeHost(component: string): string | undefined {
  const host = decodeAnyHost(component);
  // Accept only what encoding yields, so that a repository in the store has one name and no alias.
  return host !== undefined && looksLikeHost(host) && encodeHost(host) === component ? host : undefined;
}

function decodeAnyHost(component: string): string | undefined {
  if (component.endsWith(HOST_SUFFIX)) return component.slice(0, -HOST_SUFFIX.length);
  const [, name = component, port] = ENDS_LIKE_PORT.exec(component) ?? [];
  const hostname = name.startsWith(IPV6_PREFIX)
    ? canonicalIpv6(`[${name.slice(IPV6_PREFIX.length).replaceAll('_', ':')}]`)
    : name;
  if (hostname === undefined) return undefined;
  const host = formatHost(port === undefined ? { hostname } : { hostname, port });
  return parseHost(host) === undefined ? undefined : host;
}

function checkedNamespace(tenant: string): string {
  if (!NAMESPACE.test(tenant)) throw new InvalidReference(`${JSON.stringify(tenant)} is not a namespace`);
  return tenant;
}

function hasNoHost(components: readonly string[]): boolean {
  const [first = ''] = components;
  if (components.length === 1) return true;
  return !looksLikeHost(first) && !first.includes('_') && !ENDS_LIKE_PORT.test(first);
}

function needsHostSuffix(hostname: string): boolean {
  return ENDS_LIKE_PORT.test(hostname) || TENANT_COMPONENT.test(hostname);
}
