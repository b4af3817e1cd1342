/** Admission under load on a real cluster: how long it takes, what a rollout and a rotation cost, and what memory it needs. */
import { setTimeout as delay } from 'node:timers/promises';
import { splitBundle } from '../../platform/x509.ts';
import type { Cluster } from '../cluster/cluster.ts';
import { startCluster } from '../cluster/start.ts';
import { installLarder, NAMESPACE, RELEASE } from '../larder/install.ts';
import { podsOf } from '../larder/parts.ts';
import { preheat } from '../larder/preheat.ts';
import { quantile, readHistogram, since } from './histogram.ts';
import { BARE_NAMESPACE, BARE_WEBHOOK, startBareWebhook } from './bare-admission.ts';
import type { Bench, BenchGroup } from './group.ts';
import { MIB } from './images.ts';
import { PER_SECOND, PodLoad, type LoadResult } from './pod-load.ts';

const [CACHED, PLAIN] = ['bench-cached', 'bench-plain'];
const SECONDS = 30;
/** Long enough for a rotation. */
const DISTURBED_SECONDS = 60;
const UNDISTURBED_MS = 5_000;
const SAMPLE_MS = 5_000;
const WEBHOOK = 'pods.larder.dev';
const HISTOGRAM = 'apiserver_admission_webhook_admission_duration_seconds';

export const admission: BenchGroup = {
  name: 'admission',
  figures: [
    {
      key: 'admission_p99_ms',
      meaning: 'by the API server, 200 pods/s for 30 s, 2 replicas, half of the pods 20 containers',
      goal: { atMost: 10 },
    },
    {
      key: 'admission_bare_p99_ms',
      meaning: 'the same with a webhook that knows the same answers already: what this machine allows',
    },
    {
      key: 'admission_lost',
      meaning: 'creations failed, late by 1 s or not rewritten, during a rollout and a rotation of the CA',
      goal: { atMost: 0 },
    },
    {
      key: 'webhook_mib',
      meaning: 'working set of a replica under that load, by the kubelet',
      goal: { atMost: 96 },
    },
  ],
  run: async (bench) => {
    const { signal } = bench;
    const report = (line: string): void => {
      bench.report(line);
    };
    const cluster = await startCluster({ report, signal, keep: process.env['KEEP'] === '1' });
    const load = new PodLoad(cluster);
    try {
      const certificates = { checkEvery: '1s', caSettleTime: '15s' };
      await installLarder(cluster, { values: { certificates }, report, signal });
      await measure(cluster, load, bench);
    } finally {
      await load.close();
      if (process.env['KEEP'] !== '1') await cluster.stop();
    }
  },
};

async function measure(cluster: Cluster, load: PodLoad, bench: Bench): Promise<void> {
  const images = await makeSurroundings(cluster);
  const { signal } = bench;
  const run = (namespace: string, seconds: number): Promise<LoadResult> =>
    load.run({ namespace, images, seconds, expectRewritten: namespace !== PLAIN, signal });
  // What the first calls cost in compiled code and connections is no part of it.
  await run(CACHED, 5);
  report(bench, 'without the webhook', await run(PLAIN, SECONDS));
  await startBareWebhook(cluster);
  await run(BARE_NAMESPACE, 5);
  const bare = await measureCalls(cluster, bench, BARE_WEBHOOK, () => run(BARE_NAMESPACE, SECONDS));
  bench.record('admission_bare_p99_ms', bare.p99);
  const memory = new AbortController();
  const peak = peakWorkingSet(cluster, memory.signal);
  try {
    await measureCalm(cluster, bench, () => run(CACHED, SECONDS));
    await measureDisturbed(cluster, bench, () => run(CACHED, DISTURBED_SECONDS));
  } finally {
    memory.abort();
    bench.record('webhook_mib', (await peak) / MIB || NaN);
  }
}

async function measureCalm(cluster: Cluster, bench: Bench, run: () => Promise<LoadResult>): Promise<void> {
  const { p99 } = await measureCalls(cluster, bench, WEBHOOK, run);
  const own = 1_000 * (await ownP99(cluster));
  bench.report(`of that, from the parsed body to the answer: p99 ${own.toFixed(1)} ms`);
  bench.record('admission_p99_ms', p99);
}

/** How long calls of a webhook take meanwhile, in milliseconds, by the API server. */
async function measureCalls(
  cluster: Cluster,
  bench: Bench,
  webhook: string,
  run: () => Promise<LoadResult>,
): Promise<{ readonly p99: number }> {
  const before = await readHistogram(cluster, HISTOGRAM, webhook);
  report(bench, `with ${webhook}`, await run());
  const counts = since(before, await readHistogram(cluster, HISTOGRAM, webhook));
  const [median = NaN, p99 = NaN] = [0.5, 0.99].map((fraction) => 1_000 * quantile(fraction, counts));
  bench.report(`calls of it by the API server: median ${median.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms`);
  return { p99 };
}

async function measureDisturbed(
  cluster: Cluster,
  bench: Bench,
  run: () => Promise<LoadResult>,
): Promise<void> {
  const running = run();
  const disturbing = (async () => {
    await delay(UNDISTURBED_MS, undefined, { signal: bench.signal });
    await Promise.all([rollOut(cluster), rotate(cluster)]);
    bench.report('the webhook is rolled out and the CA is rotated');
  })();
  const [result] = await Promise.all([running, disturbing]);
  report(bench, 'meanwhile', result);
  bench.record('admission_lost', result.lost.length);
}

/** Two namespaces, and images that the cache holds, so that nothing else is going on. */
async function makeSurroundings(cluster: Cluster): Promise<string[]> {
  const namespace = (name: string, labels: object): object => {
    return { apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels } };
  };
  await cluster.apply([namespace(CACHED, { 'larder.dev/cache': 'enabled' }), namespace(PLAIN, {})]);
  const pushes = Array.from({ length: 20 }, (_, n) =>
    cluster.pushImage({ site: 'plain', repository: `bench/app-${n}`, tag: '1', layers: [2_048] }),
  );
  const images = (await Promise.all(pushes)).map(({ reference }) => reference);
  await preheat(cluster, 'bench', images);
  return images;
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

/** What the replicas say themselves, since they started, in seconds. */
async function ownP99(cluster: Cluster): Promise<number> {
  const histograms = (await podsOf(cluster, 'webhook')).map(({ name }) =>
    readHistogram(
      cluster,
      'larder_admission_duration_seconds',
      '',
      `/api/v1/namespaces/${NAMESPACE}/pods/${name}:8080/proxy/metrics`,
    ),
  );
  return Math.max(...(await Promise.all(histograms)).map((histogram) => quantile(0.99, histogram)));
}

/** In bytes, of any replica until the signal; 0 when the kubelets told of none. */
async function peakWorkingSet(cluster: Cluster, signal: AbortSignal): Promise<number> {
  let peak = 0;
  while (!signal.aborted) {
    const replicas = await podsOf(cluster, 'webhook').catch(() => []);
    const sets = replicas.map(({ name }) =>
      cluster.workingSet(NAMESPACE, name, 'webhook').catch(() => undefined),
    );
    for (const bytes of await Promise.all(sets)) peak = Math.max(peak, bytes ?? 0);
    await delay(SAMPLE_MS, undefined, { signal }).catch(() => undefined);
  }
  return peak;
}

function report(bench: Bench, when: string, { lost, ...result }: LoadResult): void {
  const { created, perSecond, medianMs, p99Ms, slowestMs } = result;
  bench.report(
    `${when}: ${created} pods at ${perSecond.toFixed(0)} of ${PER_SECOND}/s; creation takes ${medianMs.toFixed(1)} ms, ` +
      `p99 ${p99Ms.toFixed(1)} ms, at most ${slowestMs.toFixed(0)} ms; ${lost.length} lost`,
  );
  for (const line of [...new Set(lost)].slice(0, 5)) bench.report(`   lost: ${line}`);
}
