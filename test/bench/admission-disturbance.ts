/** What happens to a webhook in the middle of its work: new replicas, and another CA. */
import { setTimeout as delay } from 'node:timers/promises';
import { splitBundle } from '../../platform/x509.ts';
import type { Cluster } from '../cluster/cluster.ts';
import { NAMESPACE, RELEASE } from '../larder/install.ts';
import type { Bench } from './group.ts';

const UNDISTURBED_MS = 5_000;

/** Rolls the webhook out and rotates the CA while a load is running. Returns what the load returns. */
export async function whileDisturbed<T>(cluster: Cluster, bench: Bench, load: Promise<T>): Promise<T> {
  const disturbing = (async () => {
    await delay(UNDISTURBED_MS, undefined, { signal: bench.signal });
    await Promise.all([rollOut(cluster), rotate(cluster)]);
    bench.report('the webhook is rolled out and the CA is rotated');
  })();
  const [result] = await Promise.all([load, disturbing]);
  return result;
}

async function rollOut(cluster: Cluster): Promise<void> {
  const webhook = [`deployment/${RELEASE}-webhook`, '--namespace', NAMESPACE];
  await cluster.kubectl(['rollout', 'restart', ...webhook]);
  await cluster.kubectl(['rollout', 'status', ...webhook, '--timeout=120s']);
}

/** Another CA, until only that is trusted. */
async function rotate(cluster: Cluster): Promise<void> {
  const trusted = async (): Promise<readonly string[]> => {
    const path = 'jsonpath={.webhooks[0].clientConfig.caBundle}';
    const args = ['get', 'mutatingwebhookconfiguration', RELEASE, `--output=${path}`];
    return splitBundle(Buffer.from((await cluster.kubectl(args)).stdout, 'base64').toString());
  };
  const [former] = await trusted();
  await cluster.kubectl(['delete', 'secret', `${RELEASE}-ca`, '--namespace', NAMESPACE]);
  const rotated = async (): Promise<boolean> => {
    const now = await trusted();
    return now.length === 1 && now[0] !== former;
  };
  await cluster.waitFor('only the new CA is trusted', rotated, { deadlineMs: 120_000, intervalMs: 1_000 });
}
