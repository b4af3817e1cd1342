/**
 * Decides whether a container that waits for its image is given the other name of that image, and why: pure.
 */

/** What is known about one container that cannot get its image. */
export interface Plight {
  /** Whether it pulls its image through the proxy now. */
  readonly throughProxy: boolean;
  /**
   * Whether every proxy refuses its name in the cache: it was admitted before there were capabilities, or the
   * key of its capability was deleted.
   */
  readonly refusedByProxies: boolean;
  /**
   * For a refused name: the name in the cache that proxies accept. Absent when there is none, for example
   * because it would be too long.
   */
  readonly renewed?: string;
  /**
   * The other name of its image: the original of a cached name, or the reverse. Absent when there is none
   * that it may use.
   */
  readonly other?: string;
  readonly node: string;
  /** Whether a proxy is ready on its node that can serve its name in the cache. */
  readonly proxyWorks: boolean;
  /** Whether the cache holds all of the image. */
  readonly cached: boolean;
  /** Whether upstream is known not to serve the image. */
  readonly upstreamDown: boolean;
  /** Whether it was given its original or its cached image before; a new name in the cache does not count. */
  readonly rescued: boolean;
  /** How long it has been known to be stuck, in milliseconds. */
  readonly stuckMs: number;
}

/** `reason` is the reason of the Event; `because` completes its message. */
export interface Rescue {
  readonly image: string;
  readonly reason: 'OriginalImageRestored' | 'CachedImageUsed' | 'CachedNameRenewed';
  readonly because: string;
}

/**
 * @param patienceMs how long a pull may keep failing although the proxy works
 * @returns undefined when the container is left as it is for now
 */
export function decideRescue(plight: Plight, patienceMs: number): Rescue | undefined {
  const { refusedByProxies, renewed, proxyWorks, rescued, other } = plight;
  // However often: the proxies accept the new name, so it is not renewed again.
  if (refusedByProxies && renewed !== undefined && proxyWorks) {
    const because = 'the proxies no longer accept its former name in the cache';
    return { image: renewed, reason: 'CachedNameRenewed', because };
  }
  // Only once: otherwise two names that both fail would be tried in turn for ever.
  if (rescued || other === undefined) return undefined;
  if (refusedByProxies && renewed === undefined) {
    const because = 'the proxies do not accept its name in the cache, and it can have no other there';
    return { image: other, reason: 'OriginalImageRestored', because };
  }
  return plight.throughProxy ? backToOriginal(plight, other, patienceMs) : intoCache(plight, other);
}

function backToOriginal(
  { cached, upstreamDown, proxyWorks, node, stuckMs }: Plight,
  image: string,
  patienceMs: number,
): Rescue | undefined {
  // The cache has the image: worth waiting for, unless upstream has it too and no proxy works here.
  if (cached && (upstreamDown || proxyWorks)) return undefined;
  const reason = 'OriginalImageRestored';
  if (!proxyWorks) return { image, reason, because: `no proxy is ready on ${node}` };
  if (stuckMs < patienceMs) return undefined;
  return { image, reason, because: 'it could not be pulled through the cache' };
}

function intoCache({ cached, proxyWorks }: Plight, image: string): Rescue | undefined {
  if (!cached || !proxyWorks) return undefined;
  return { image, reason: 'CachedImageUsed', because: 'upstream does not serve it and the cache has it' };
}
