/** Proxies, copiers and webhooks are replaced while nodes pull and Pods are created: nothing fails. */
import { setTimeout as sleep } from 'node:timers/promises';
import { DryAdmission } from '../../larder/dry-admission.ts';
import { installLarder, NAMESPACE, RELEASE } from '../../larder/install.ts';
import { podsOf, type Part, type PartPod } from '../../larder/parts.ts';
import { forget, preheat } from '../../larder/preheat.ts';
import { sharedCluster } from '../../larder/shared-cluster.ts';
import { stalledTransfer, type StalledTransfer } from '../../larder/stalled-transfer.ts';

const TEAM = 'rollout';
const MEBIBYTE = 1024 * 1024;
/** More than the sockets between a registry and a client take in. */
const LARGE = 64 * MEBIBYTE;

const cluster = sharedCluster();

async function restart(workload: string): Promise<void> {
  await cluster.kubectl(['rollout', 'restart', workload, '--namespace', NAMESPACE]);
}

async function rolledOut(workload: string): Promise<void> {
  await cluster.kubectl(['rollout', 'status', workload, '--namespace', NAMESPACE, '--timeout=120s']);
}

/** A DaemonSet counts a node when its old pod has gone; here that one still has something to do. */
async function replaced(former: readonly PartPod[]): Promise<void> {
  const look = async (): Promise<boolean> => {
    const now = await podsOf(cluster, 'proxy');
    return now.length === former.length && now.every(({ name }) => former.every((old) => old.name !== name));
  };
  await cluster.waitFor('every node to have another proxy', look, { deadlineMs: 120_000, intervalMs: 300 });
}

/** Whether a pod has been told to stop and goes on for what is under way. */
async function drains(pod: PartPod): Promise<boolean> {
  const { metadata } = await cluster.read<{ metadata: { deletionTimestamp?: string } }>('v1/pods', {
    namespace: NAMESPACE,
    name: pod.name,
  });
  return metadata.deletionTimestamp !== undefined;
}

async function leaves(part: Part, pods: readonly PartPod[]): Promise<void> {
  const gone = async (): Promise<boolean> => {
    const args = ['get', 'pods', '--namespace', NAMESPACE, '--output=name'];
    const { stdout } = await cluster.kubectl([...args, `--selector=app.kubernetes.io/component=${part}`]);
    return pods.every(({ name }) => !stdout.includes(name));
  };
  await cluster.waitFor(`the former ${part} pods leave`, gone, { deadlineMs: 60_000, intervalMs: 300 });
}

// A test before this one may have failed half-way.
beforeAll(() => installLarder(cluster), 150_000);

let transfers: readonly StalledTransfer[] = [];

afterAll(async () => {
  await Promise.allSettled(transfers.map(({ finish }) => finish()));
  await forget(cluster, TEAM);
  await cluster.kubectl(['delete', 'namespace', TEAM, '--wait=false', '--ignore-not-found']);
});

it('the DaemonSet rolls without a failed pull, and webhook and copier likewise', async () => {
  const push = async (name: string, size: number): ReturnType<typeof cluster.pushImage> =>
    await cluster.pushImage({ site: 'plain', repository: `rollout/${name}`, tag: '1', layers: [size] });
  const [small, warm, cold] = [
    await push('small', MEBIBYTE),
    await push('warm', LARGE),
    await push('cold', LARGE),
  ];
  await preheat(cluster, TEAM, [small.reference, warm.reference]);
  const labels = { 'larder.dev/cache': 'enabled' };
  await cluster.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: TEAM, labels } });
  const cached = (name: string): string => name.replace(/:(\d+)\//, '-$1/');
  const admission = new DryAdmission(cluster, TEAM);

  const former = { proxy: await podsOf(cluster, 'proxy'), copier: await podsOf(cluster, 'copier') };
  // One from the store, one from upstream through a copier. Both last longer than the processes serving them.
  transfers = await Promise.all([
    stalledTransfer(cluster.node(1), cached(warm.repository), '1'),
    stalledTransfer(cluster.node(2), cached(cold.repository), '1'),
  ]);
  let rolled = false;
  let pulls = 0;
  const failures: unknown[] = [];
  const pulling = cluster.nodes.map(async (node) => {
    const name = `localhost:7439/${cached(small.reference)}`;
    while (!rolled) {
      try {
        await node.removeImage(name);
        await node.pull(name);
        pulls += 1;
      } catch (error) {
        failures.push(error);
      }
      await sleep(100);
    }
  });
  const [proxies, others] = [
    `daemonset/${RELEASE}-proxy`,
    [`deployment/${RELEASE}-copier`, `deployment/${RELEASE}-webhook`],
  ];
  const { asked, lost, slowestMs } = await admission.during(async () => {
    await Promise.all([proxies, ...others].map(restart));
    await Promise.all([replaced(former.proxy), ...others.map(rolledOut)]);
  });
  rolled = true;
  await Promise.all(pulling);
  await admission.close();
  console.info(`${pulls} pulls and ${asked} admissions meanwhile, the slowest in ${slowestMs} ms`);
  expect(failures).toEqual([]);
  expect(lost).toEqual([]);
  expect(Math.min(pulls, asked)).toBeGreaterThan(10);

  // Nobody was lost because callers were sent on, not by luck.
  for (const { name } of former.proxy) {
    const { stdout } = await cluster.kubectl(['logs', name, '--namespace', NAMESPACE]);
    expect(stdout).not.toContain('cannot be steered');
  }

  // Both proxies and the copier that served a transfer are still there for it, and for nothing else.
  const draining = await Promise.all(former.proxy.map(drains));
  expect(draining).toEqual([true, true]);
  const sizes = await Promise.all(transfers.map(({ finish }) => finish()));
  expect(sizes.every((bytes) => bytes >= LARGE)).toBe(true);
  await Promise.all([rolledOut(proxies), leaves('copier', former.copier)]);
}, 240_000);
