/**
 * Decides whether a container that waits for its image is given the other name of that image, and why: pure.
 */

/** What is known about one container that cannot get its image. */
export interface Plight {
  /** Whether it pulls its image through the proxy now. */
  readonly throughProxy: boolean;
  /**
   * Its name in the cache with a good capability, when the one that it has is not: it was admitted before
   * there were capabilities, or its key was given up.
   */
  readonly renewed?: string;
  /**
   * The other name of its image: the original of a cached name, or the reverse. Absent when there is none
   * that it may use.
   */
  readonly other?: string;
  readonly node: string;
  /** Whether a proxy is ready on its node. */
  readonly proxyWorks: boolean;
  /** Whether the cache holds all of the image. */
  readonly cached: boolean;
  /** Whether upstream is known not to serve the image. */
  readonly upstreamDown: boolean;
  /** Whether it was rescued before. */
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
  // Only once: otherwise two names that both fail would be tried in turn for ever.
  if (plight.rescued || plight.other === undefined) return undefined;
  if (plight.renewed !== undefined && plight.proxyWorks) {
    const because = 'the proxies no longer accept its former name in the cache';
    return { image: plight.renewed, reason: 'CachedNameRenewed', because };
  }
  return plight.throughProxy
    ? backToOriginal(plight, plight.other, patienceMs)
    : intoCache(plight, plight.other);
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
