/** The health gate: images are rewritten only while the proxies that would serve them work. */

/** How many proxies there are, one a node, and how many of them read an image through themselves lately. */
export interface ProxyCount {
  readonly all: number;
  readonly ready: number;
}

export type Gate = { readonly open: true } | { readonly open: false; readonly message: string };

/** @param minReadyPercent at least one proxy must be ready, also at 0 */
export function gateOf({ all, ready }: ProxyCount, minReadyPercent: number): Gate {
  const enough = ready > 0 && ready * 100 >= all * minReadyPercent;
  if (enough) return { open: true };
  return {
    open: false,
    message: `${String(ready)} of ${String(all)} proxies are ready, at least ${String(minReadyPercent)} % have to be`,
  };
}
