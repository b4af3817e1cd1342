/** What the webhook's replicas say of themselves, since they started. */
import type { Cluster } from '../cluster/cluster.ts';
import { NAMESPACE } from '../larder/install.ts';
import { podsOf } from '../larder/parts.ts';
import { readHistogram, type Histogram } from './histogram.ts';

async function metricsPaths(cluster: Cluster): Promise<string[]> {
  return (await podsOf(cluster, 'webhook')).map(
    ({ name }) => `/api/v1/namespaces/${NAMESPACE}/pods/${name}:8080/proxy/metrics`,
  );
}

/** From the parsed body to the answer, of all replicas together. */
export async function ownDurations(cluster: Cluster): Promise<Histogram> {
  const sum = new Map<number, number>();
  for (const path of await metricsPaths(cluster))
    for (const [bound, count] of await readHistogram(cluster, 'larder_admission_duration_seconds', '', path))
      sum.set(bound, (sum.get(bound) ?? 0) + count);
  return sum;
}

/** Of all replicas together, user and system. */
export async function processorSeconds(cluster: Cluster): Promise<number> {
  let sum = 0;
  for (const path of await metricsPaths(cluster)) {
    const { stdout } = await cluster.kubectl(['get', '--raw', path]);
    sum += Number(/^process_cpu_seconds_total\S* (\S+)/m.exec(stdout)?.[1] ?? NaN);
  }
  return sum;
}
