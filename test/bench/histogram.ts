/** Durations as the API server, or a process behind it, counts them itself, between two moments. */
import type { Cluster } from '../cluster/cluster.ts';

/** Upper bound in seconds → how many took at most so long. */
export type Histogram = ReadonlyMap<number, number>;

/**
 * The sum of all series of a histogram whose labels contain a text.
 * @param name without `_bucket`
 * @param path of the metrics; default: the API server's own
 */
export async function readHistogram(
  cluster: Cluster,
  name: string,
  labels: string,
  path = '/metrics',
): Promise<Histogram> {
  const { stdout } = await cluster.kubectl(['get', '--raw', path]);
  const sums = new Map<number, number>();
  for (const line of stdout.split('\n')) {
    if (!line.startsWith(`${name}_bucket{`) || !line.includes(labels)) continue;
    const bound = /le="([^"]+)"/.exec(line)?.[1] ?? '';
    const upTo = bound === '+Inf' ? Infinity : Number(bound);
    sums.set(upTo, (sums.get(upTo) ?? 0) + Number(line.slice(line.lastIndexOf(' '))));
  }
  return sums;
}

export function since(before: Histogram, now: Histogram): Histogram {
  return new Map([...now].map(([bound, count]) => [bound, count - (before.get(bound) ?? 0)]));
}

/** In seconds, spread evenly within a bucket as Prometheus does it; NaN when nothing was counted. */
export function quantile(fraction: number, counts: Histogram): number {
  const buckets = [...counts].sort(([a], [b]) => a - b);
  const rank = fraction * (buckets.at(-1)?.[1] ?? 0);
  let [lower, below] = [0, 0];
  for (const [bound, count] of buckets) {
    if (count >= rank && count > 0)
      return bound === Infinity ? lower : lower + (bound - lower) * ((rank - below) / (count - below));
    [lower, below] = [bound, count];
  }
  return NaN;
}
