/** Whether a container that waits for its image gets the other name of that image, and why: pure. */

/** What is known about one container that cannot get its image. */
export interface Plight {
  /** Whether its image goes through the proxy now. */
  readonly throughProxy: boolean;
  /**
   * Its name in the cache with a capability that is good, when the one it has is not: it was admitted before capabilities were known, or
   * its key was given up.
   */
  readonly renewed?: string;
  /** The other name of its image: the original of a cached one, and the reverse. Absent when it has none, or none that it may use. */
  readonly other?: string;
  readonly node: string;
  /** Whether a proxy is ready on its node. */
  readonly proxyWorks: boolean;
  /** Whether the cache holds the image, verified. */
  readonly cached: boolean;
  /** Whether upstream is known not to give the image. */
  readonly upstreamDown: boolean;
  /** Whether it was helped before. */
  readonly rescued: boolean;
  /** How long it has been known to be stuck, in milliseconds. */
  readonly stuckMs: number;
}

/** `reason` is the Event's. */
export interface Rescue {
  readonly image: string;
  readonly reason: 'OriginalImageRestored' | 'CachedImageUsed' | 'CachedNameRenewed';
  readonly because: string;
}

/**
 * @param patienceMs how long a pull that fails through a proxy that works may go on failing
 * @returns undefined when the container is left as it is, for now at least
 */
export function decideRescue(plight: Plight, patienceMs: number): Rescue | undefined {
  // Once, whatever comes: two names that both fail would else be tried in turn for ever.
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
  // The cache alone has it: it is worth waiting for.
  if (cached && (upstreamDown || proxyWorks)) return undefined;
  const reason = 'OriginalImageRestored';
  if (!proxyWorks) return { image, reason, because: `no proxy is ready on ${node}` };
  if (stuckMs < patienceMs) return undefined;
  return { image, reason, because: 'it could not be pulled through the cache' };
}

function intoCache({ cached, proxyWorks }: Plight, image: string): Rescue | undefined {
  if (!cached || !proxyWorks) return undefined;
  return { image, reason: 'CachedImageUsed', because: 'upstream does not give it and the cache has it' };
}
