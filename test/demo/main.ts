/** `make demo`: a cluster, Larder, an outage, told line by line; any line that is not true ends it with exit code 1. */
import { startCluster } from '../cluster/start.ts';
import { GoMissingError } from '../../build/go-tool.ts';
import { PrerequisiteError } from '../cluster/prerequisites.ts';
import { stopCluster } from '../cluster/take-slot.ts';
import type { Cluster } from '../cluster/cluster.ts';
import { installLarder, NAMESPACE } from '../larder/install.ts';
import { type Step, Story } from '../story/story.ts';
import { demoSlot } from '../cluster/slot.ts';

interface Told {
  readonly title: string;
  readonly seconds: number;
}

const told: Told[] = [];

/** Runs a step and prints what it proves. */
async function tell({ title, run }: Step): Promise<void> {
  console.log(`\n${told.length + 1}. ${title}`);
  const started = performance.now();
  const evidence = await run();
  const seconds = (performance.now() - started) / 1000;
  told.push({ title, seconds });
  for (const line of evidence.flatMap((text) => text.split('\n'))) console.log(`   ${line}`);
  console.log(`   ✓ ${seconds.toFixed(1)} s`);
}

async function larderIsReady(cluster: Cluster): Promise<string[]> {
  const report = (line: string): void => {
    console.log(`   ${line}`);
  };
  await installLarder(cluster, { report });
  const pods = await cluster.kubectl(['get', 'pods', '--namespace', NAMESPACE, '--output=wide']);
  const lines = pods.stdout.trimEnd().split('\n');
  // The last columns of the wide table are about scheduling.
  const end = lines[0]?.indexOf('NOMINATED');
  return lines.map((line) => line.slice(0, end).trimEnd());
}

function summary(story: Story): void {
  console.log('\nSummary');
  for (const [index, { title, seconds }] of told.entries()) {
    console.log(`   ${index + 1}. ✓ ${title.padEnd(100)} ${seconds.toFixed(1).padStart(6)} s`);
  }
  console.log('\n   seconds from created to running      registry there   registry black-holed');
  for (const app of ['web', 'worker']) {
    const [before, after] = [1, 2].map((node) =>
      (story.startSeconds[`${app}-node-${node}`] ?? NaN).toFixed(1),
    );
    console.log(`   ${app.padEnd(36)} ${before?.padStart(14)} ${after?.padStart(22)}`);
  }
}

function thingsToTry(cluster: Cluster): void {
  console.log(`
The cluster stays up, its registries still black-holed. Things to try:

   export KUBECONFIG=${cluster.kubeconfig}
   export PATH=${cluster.tool('kubernetes')}:${cluster.tool('helm')}:$PATH
   kubectl get cachedimages -o wide
   kubectl describe cachedimages
   kubectl get pods -A -o wide
   kubectl -n shop delete pods --all              # the Deployments' come back, without a registry
   kubectl -n ${NAMESPACE} logs ds/larder-proxy
   node test/cluster/cli.ts fault example restore --slot ${cluster.plan.slot}

   make demo-down                                 # removes everything
`);
}

async function main(): Promise<void> {
  const started = performance.now();
  await stopCluster(demoSlot);
  let cluster: Cluster | undefined;
  await tell({
    title: 'a real Kubernetes with two nodes, and two upstream registries',
    run: async () => {
      cluster = await startCluster({
        slot: demoSlot,
        keep: true,
        report: (line) => {
          console.log(`   ${line}`);
        },
      });
      const nodes = await cluster.kubectl(['get', 'nodes']);
      return [
        ...nodes.stdout.trimEnd().split('\n'),
        ...cluster.internet.siteNames.map(
          (name) => `upstream: ${cluster?.internet.site(name).registry ?? ''}`,
        ),
      ];
    },
  });
  if (!cluster) throw new Error('there is no cluster');
  const running = cluster;
  await tell({ title: 'helm install: every pod of Larder is Ready', run: () => larderIsReady(running) });
  const story = new Story(running);
  for (const step of story.steps) await tell(step);
  summary(story);
  console.log(`\n   everything above took ${((performance.now() - started) / 1000).toFixed(0)} s`);
  thingsToTry(running);
}

try {
  await main();
} catch (error) {
  const expected = error instanceof PrerequisiteError || error instanceof GoMissingError;
  console.error(expected ? `larder: ${error.message}` : error);
  console.error(
    told.length > 0
      ? '\nThe line above is not true. The cluster stays up to look at; `make demo-down` removes it.'
      : '',
  );
  process.exitCode = 1;
}
