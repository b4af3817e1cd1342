/** The health gate: images are rewritten only while enough proxies work to serve them. */

/**
 * How many nodes have a proxy, and on how many of them it is ready, that is, has lately read an image through
 * itself.
 */
export interface ProxyCount {
  readonly all: number;
  readonly ready: number;
}

export type Gate = { readonly open: true } | { readonly open: false; readonly message: string };

/** @param minReadyPercent even at 0, one proxy must be ready */
export function gateOf({ all, ready }: ProxyCount, minReadyPercent: number): Gate {
  const enough = ready > 0 && ready * 100 >= all * minReadyPercent;
  if (enough) return { open: true };
  return {
    open: false,
    message: `${String(ready)} of ${String(all)} proxies are ready, at least ${String(minReadyPercent)} % must be`,
  };
}
