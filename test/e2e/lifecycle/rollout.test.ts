/** Upgrades: proxies, copiers and webhooks are replaced while a node pulls in a loop and pods are made, and nothing fails. */
import { setTimeout as sleep } from 'node:timers/promises';
import { installLarder, NAMESPACE, RELEASE } from '../../larder/install.ts';
import { forget, preheat } from '../../larder/preheat.ts';
import { sharedCluster } from '../../larder/shared-cluster.ts';

const TEAM = 'rollout';
const MEBIBYTE = 1024 * 1024;

const cluster = sharedCluster();
const { link } = cluster.internet.site('plain');

async function rollOut(workload: string): Promise<void> {
  const target = [workload, '--namespace', NAMESPACE];
  await cluster.kubectl(['rollout', 'restart', ...target]);
  await cluster.kubectl(['rollout', 'status', ...target, '--timeout=120s']);
}

/** How long a new proxy has to stay up before the old one goes. */
async function setMinReadySeconds(minReadySeconds: number): Promise<void> {
  const proxies = ['daemonset', `${RELEASE}-proxy`, '--namespace', NAMESPACE];
  const patch = JSON.stringify({ spec: { minReadySeconds } });
  await cluster.kubectl(['patch', ...proxies, '--type=merge', '--patch', patch]);
}

// The chart's own default; clusters of tests have less.
beforeAll(async () => {
  await installLarder(cluster);
  await setMinReadySeconds(30);
}, 150_000);

afterAll(async () => {
  await setMinReadySeconds(10);
  await link.restore();
  await forget(cluster, TEAM);
  await cluster.kubectl(['delete', 'namespace', TEAM, '--wait=false', '--ignore-not-found']);
});

it('the DaemonSet rolls without a failed pull, and webhook and copier likewise', async () => {
  const push = async (name: string, layers: readonly number[]): ReturnType<typeof cluster.pushImage> =>
    await cluster.pushImage({ site: 'plain', repository: `rollout/${name}`, tag: '1', layers });
  const [warm, slow] = [await push('warm', [MEBIBYTE]), await push('slow', [16 * MEBIBYTE])];
  await preheat(cluster, TEAM, [warm.reference]);
  const labels = { 'larder.dev/cache': 'enabled' };
  await cluster.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: TEAM, labels } });
  const cached = (reference: string): string => `localhost:7439/${reference.replace(/:(\d+)\//, '-$1/')}`;

  // A transfer that lasts longer than the replacement of the proxy and the copier that serve it.
  await link.slow(MEBIBYTE);
  const over = new AbortController();
  const failures: unknown[] = [];
  let pulls = 0;
  const pulling = cluster.nodes.map(async (node) => {
    while (!over.signal.aborted) {
      try {
        await node.removeImage(cached(warm.reference));
        await node.pull(cached(warm.reference));
        pulls += 1;
      } catch (error) {
        failures.push(error);
      }
      await sleep(100);
    }
  });
  let pods = 0;
  const unchanged: string[] = [];
  const admitting = (async () => {
    while (!over.signal.aborted) {
      const name = `admitted-${pods}`;
      const pod = {
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { name, namespace: TEAM },
        spec: { containers: [{ name: 'app', image: warm.reference }] },
      };
      const args = ['create', '--dry-run=server', '--output=jsonpath={.spec.containers[0].image}', '-f', '-'];
      const { stdout } = await cluster.kubectl(args, { stdin: JSON.stringify(pod) });
      if (stdout !== cached(warm.reference)) unchanged.push(stdout);
      pods += 1;
    }
  })();
  const transfer = cluster.node(1).pull(cached(slow.reference));
  await Promise.all([
    rollOut(`daemonset/${RELEASE}-proxy`),
    rollOut(`deployment/${RELEASE}-copier`),
    rollOut(`deployment/${RELEASE}-webhook`),
  ]);
  over.abort();
  await Promise.all([...pulling, admitting]);
  await link.restore();
  const transferred = await transfer;

  console.info(`${pulls} pulls, ${pods} admissions; the transfer took ${transferred.milliseconds} ms`);
  expect(failures).toEqual([]);
  expect(unchanged).toEqual([]);
  expect(Math.min(pulls, pods)).toBeGreaterThan(10);
}, 240_000);
