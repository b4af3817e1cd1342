/** The one cluster, with Larder on it, that all tests of a stage share. */
import { Cluster } from '../cluster/cluster.ts';
import { parseSlot } from '../cluster/slot.ts';
import { startCluster } from '../cluster/start.ts';
import { installLarder } from './install.ts';

const SLOT = 'LARDER_TEST_SLOT';

/**
 * Starts the cluster, installs Larder, runs `work` with the environment that `sharedCluster` reads, and
 * removes the cluster, also when `signal` fires meanwhile; with KEEP=1 in the environment it stays, to look
 * at.
 */
export async function withSharedCluster(
  work: (env: NodeJS.ProcessEnv) => Promise<boolean>,
  signal: AbortSignal,
): Promise<boolean> {
  const report = (line: string): void => {
    console.error(line);
  };
  const keep = process.env['KEEP'] === '1';
  const cluster = await startCluster({ report, keep, signal });
  try {
    await installLarder(cluster, { report, signal });
    return await work({ [SLOT]: String(cluster.plan.slot) });
  } finally {
    if (keep) report(`the cluster stays: export KUBECONFIG=${cluster.kubeconfig}`);
    else await cluster.stop();
  }
}

/** For a test file: the running cluster. */
export function sharedCluster(): Cluster {
  const slot = process.env[SLOT];
  if (slot === undefined) throw new Error(`${SLOT} is not set: run cluster tests with \`make e2e\``);
  return Cluster.attach(parseSlot(slot));
}
