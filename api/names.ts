/** The names that the processes share: labels, annotations, ports, and the objects of a release. */
import { createHash } from 'node:crypto';
import { cacheReference } from '../registry/core/cached-name.ts';
import { formatReference, type Reference } from '../registry/core/reference.ts';

/**
 * On a Namespace: cache its Pods. On a Pod: do not cache this one. The webhook configuration selects by both.
 */
export const CACHE_LABEL = 'larder.dev/cache';
export const CACHE_ENABLED = 'enabled';
export const CACHE_DISABLED = 'disabled';

/** On a Pod of the proxies whose release knows that names of private images carry capabilities. */
export const CAPABILITIES_LABEL = 'larder.dev/capabilities';

/** On a Pod whose images were rewritten: `true`. */
export const REWRITTEN_LABEL = 'larder.dev/rewritten';

/** On a rewritten Pod: a JSON object from container name (or `volume/<name>`) to the original reference. */
export const ORIGINAL_IMAGES_ANNOTATION = 'larder.dev/original-images';

/**
 * On a rescued Pod: a JSON object from container name to the image that could not be pulled and was replaced,
 * without the capability that a private image's name carried.
 */
export const RESCUED_ANNOTATION = 'larder.dev/rescued';

/** On a Pod, `true`: admission warns of every image that is not sent through the cache, and says why. */
export const EXPLAIN_ANNOTATION = 'larder.dev/explain';

/** On the mirror Pods of static Pods, which the API server does not allow to change. */
export const MIRROR_POD_ANNOTATION = 'kubernetes.io/config.mirror';

/** A node that registers with this taint gets no pods before its proxy is ready. */
export const STARTUP_TAINT = 'larder.dev/proxy-not-ready';

/**
 * On a CachedImage that was made because pods use the image, with the value `pods`; not on one made by hand.
 */
export const MADE_FOR_LABEL = 'larder.dev/made-for';
export const MADE_FOR_PODS = 'pods';

/** On a CachedImage until the store no longer holds anything for it. */
export const CACHED_IMAGE_FINALIZER = 'larder.dev/stored';

export const API_GROUP = 'larder.dev';
export const API_VERSION = 'v1alpha1';
export const CACHED_IMAGE_KIND = 'CachedImage';
export const CACHE_POLICY_KIND = 'CachePolicy';
export const CACHE_POLICY_PLURAL = 'cachepolicies';
export const CACHED_IMAGE_PLURAL = 'cachedimages';
export const IMAGE_CACHE_KIND = 'ImageCache';
export const IMAGE_CACHE_PLURAL = 'imagecaches';

/** On the ImageCache: each new value makes the store collect garbage at once. */
export const COLLECT_ANNOTATION = 'larder.dev/collect';

/** Audience of the ServiceAccount tokens that callers of the copier show. */
export const COPIER_AUDIENCE = 'larder-copier';

export const PROXY_PORT = 7439;

/** The proxy's host in image references. Every node has a proxy of its own. */
export const PROXY_HOST = `localhost:${PROXY_PORT}`;

export interface ReleaseNames {
  readonly webhook: string;
  readonly copier: string;
  readonly controller: string;
  readonly proxy: string;
  readonly store: string;
  /** A Secret with the key, and a ConfigMap with the bundle that others trust. */
  readonly ca: string;
  readonly webhookTls: string;
  readonly copierTls: string;
  readonly storeReader: string;
  readonly storeWriter: string;
  readonly storeTrust: string;
  /** The Secret with the token by which the webhook knows the API server. */
  readonly admissionCaller: string;
  /** The Secret with the keys that capabilities are made with. */
  readonly capabilityKeys: string;
  /** The ConfigMap of the administrator's rules. */
  readonly rules: string;
  readonly webhookConfiguration: string;
  readonly leaderLease: string;
}

/** @param fullname the release's full name, as the chart computes it */
export function releaseNames(fullname: string): ReleaseNames {
  return {
    webhook: `${fullname}-webhook`,
    copier: `${fullname}-copier`,
    controller: `${fullname}-controller`,
    proxy: `${fullname}-proxy`,
    store: `${fullname}-store`,
    ca: `${fullname}-ca`,
    webhookTls: `${fullname}-webhook-tls`,
    copierTls: `${fullname}-copier-tls`,
    storeReader: `${fullname}-store-reader`,
    storeWriter: `${fullname}-store-writer`,
    storeTrust: `${fullname}-store-trust`,
    admissionCaller: `${fullname}-admission-caller`,
    capabilityKeys: `${fullname}-capability-keys`,
    rules: `${fullname}-rules`,
    webhookConfiguration: fullname,
    leaderLease: `${fullname}-controller`,
  };
}

const HASH_LENGTH = 16;
const STEM_LENGTH = 63 - 1 - HASH_LENGTH;

/**
 * The name of the one CachedImage of a reference and tenant: readable, then a hash, for example
 * `nginx-1.27-1b0c…`. A valid DNS-1123 subdomain of at most 63 characters, so that it can be a label's value
 * as well.
 */
export function cachedImageName(image: Reference, tenant?: string): string {
  const cached = cacheReference(image);
  const hash = createHash('sha256')
    .update(`${tenant ?? ''}\n${formatReference(cached)}`)
    .digest('hex')
    .slice(0, HASH_LENGTH);
  const version = cached.tag ?? cached.digest?.replace(/^(\w+):(.{12}).*$/, '$1-$2') ?? '';
  const last = cached.repository.slice(cached.repository.lastIndexOf('/') + 1);
  const stem = [tenant, last, version]
    .filter((part) => part !== undefined)
    .join('-')
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, (separators) => (separators === '.' ? '.' : '-'))
    .slice(0, STEM_LENGTH)
    .replaceAll(/^[.-]+|[.-]+$/g, '');
  return stem === '' ? hash : `${stem}-${hash}`;
}
