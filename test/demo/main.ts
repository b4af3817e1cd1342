/**
 * `make demo`: a cluster, Larder, an outage, told line by line; any line that is not true ends it with exit
 * code 1.
 */
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { onInterrupt } from '../../build/interrupt.ts';
import { requirePrerequisites } from '../../build/prerequisites.ts';
import { runProgram } from '../../build/program.ts';
import { ProgressLine } from '../../build/progress-line.ts';
import type { Cluster } from '../cluster/cluster.ts';
import { demoSlot } from '../cluster/slot.ts';
import { startCluster } from '../cluster/start.ts';
import { stopCluster } from '../cluster/take-slot.ts';
import { installLarder, NAMESPACE } from '../larder/install.ts';
import { type Step, Story } from '../story/story.ts';

const help = `make demo

A real two-node Kubernetes with two registries, Larder on it, and an outage of the registries, with evidence
for each step. The cluster stays up to play with; \`make demo-down\` removes it. Needs Linux, root and Go.
`;

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
  evidence.flatMap((text) => text.split('\n')).forEach(indented);
  console.log(`   ✓ ${seconds.toFixed(1)} s`);
}

function indented(line: string): void {
  console.log(`   ${line}`);
}

async function larderIsReady(cluster: Cluster, signal: AbortSignal): Promise<string[]> {
  await installLarder(cluster, { report: indented, signal });
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
   ./cluster fault example restore --slot ${cluster.plan.slot}      # gives a registry back

   make demo-down                                 # removes everything
`);
}

/** @throws {Error} at the first step whose title is not true */
async function demo(signal: AbortSignal): Promise<void> {
  const started = performance.now();
  console.log(
    'A real cluster, Larder on it, and an outage: about a minute and a half once its programs are compiled.',
  );
  await stopCluster(demoSlot);
  let cluster: Cluster | undefined;
  await tell({
    title: 'a real Kubernetes with two nodes, and two upstream registries',
    run: async () => {
      cluster = await startCluster({
        slot: demoSlot,
        keep: true,
        signal,
        report: indented,
        progress: new ProgressLine(process.stdout, '   '),
      });
      const { internet } = cluster;
      const nodes = await cluster.kubectl(['get', 'nodes']);
      return [
        ...nodes.stdout.trimEnd().split('\n'),
        ...internet.siteNames.map((name) => `upstream: ${internet.site(name).registry}`),
      ];
    },
  });
  if (!cluster) throw new Error('there is no cluster');
  const running = cluster;
  await tell({
    title: 'helm install: every pod of Larder is Ready',
    run: () => larderIsReady(running, signal),
  });
  const story = new Story(running);
  for (const step of story.steps) await tell(step);
  summary(story);
  console.log(`\n   everything above took ${((performance.now() - started) / 1000).toFixed(0)} s`);
  thingsToTry(running);
}

/** Runs the demo until it ends or is interrupted; an interrupted one leaves nothing running. */
async function main(argv: readonly string[]): Promise<undefined> {
  parseArgs({ args: [...argv] });
  requirePrerequisites('linux', 'root', 'go');
  const signal = onInterrupt();
  const running = demo(signal);
  const interrupted = once(signal, 'abort');
  try {
    await Promise.race([running, interrupted]);
  } catch (error) {
    if (told.length > 0 && !signal.aborted)
      console.error(
        `\nStep ${told.length + 1} is not true. The cluster stays up to look at; \`make demo-down\` removes it.\n`,
      );
    if (!signal.aborted) throw error;
  }
  if (!signal.aborted) return;
  console.error('\nInterrupted: removing the cluster …');
  // What is being built or started takes itself down; a step of the story that waits for something need not
  // be waited for.
  await Promise.race([running.catch(() => undefined), delay(5_000)]);
  await stopCluster(demoSlot);
  process.exit(130);
}

await runProgram(help, main);
