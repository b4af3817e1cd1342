/** Admission under load on a real cluster: latency, memory, and what a rollout and a rotation cost. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Cluster } from '../cluster/cluster.ts';
import { startCluster } from '../cluster/start.ts';
import { installLarder, NAMESPACE } from '../larder/install.ts';
import { podsOf } from '../larder/parts.ts';
import { preheat } from '../larder/preheat.ts';
import { quantile, readHistogram, since, type Histogram } from './histogram.ts';
import { whileDisturbed } from './admission-disturbance.ts';
import { ownDurations, processorSeconds } from './admission-replicas.ts';
import { BARE_NAMESPACE, BARE_WEBHOOK, startBareWebhook } from './bare-admission.ts';
import type { Bench, BenchGroup, Figure } from './group.ts';
import { MIB } from './images.ts';
import { PodLoad, type LoadResult } from './pod-load.ts';
import { busySince, processorTime } from './processors.ts';

const [CACHED, PLAIN] = ['bench-cached', 'bench-plain'];
/** The rate of the goal, and one that two processors carry beside the rest (docs/performance.md). */
const RATES = [
  { perSecond: 40, suffix: '_at_40' },
  { perSecond: 200, suffix: '' },
] as const;
const SECONDS = 30;
const YARDSTICK_SECONDS = 15;
/** Long enough for a rotation. */
const DISTURBED_SECONDS = 60;
const SAMPLE_MS = 5_000;
const WEBHOOK = 'pods.larder.dev';
const HISTOGRAM = 'apiserver_admission_webhook_admission_duration_seconds';
/** The API server counts how many calls took at most so long, and nothing between this and 25 ms. */
const SHORT_SECONDS = 0.005;

type Rate = (typeof RATES)[number];

function figuresAt({ perSecond, suffix }: Rate): Figure[] {
  return [
    {
      key: `admission_p99_ms${suffix}`,
      meaning: `by the API server, ${perSecond} pods/s for ${SECONDS} s, 2 replicas, half of the pods 20 containers`,
      goal: { atMost: 10 },
    },
    {
      key: `admission_bare_p99_ms${suffix}`,
      meaning: 'the same with a webhook that knows the same answers already: what this machine allows',
    },
    {
      key: `creation_p99_ms${suffix}`,
      meaning: "the same creations as their client sees them, the API server's own work included",
    },
    { key: `creation_bare_p99_ms${suffix}`, meaning: 'the same with the webhook that knows its answers' },
    { key: `creation_plain_p99_ms${suffix}`, meaning: 'the same without any webhook' },
    {
      key: `webhook_cpu_ms${suffix}`,
      meaning: 'processor time of the replicas for one creation, all that they do besides included',
    },
    {
      key: `admission_lost${suffix}`,
      meaning: `creations failed, late by 1 s or not rewritten, during a rollout and a rotation of the CA at ${perSecond} pods/s`,
      goal: { atMost: 0 },
    },
  ];
}

export const admission: BenchGroup = {
  name: 'admission',
  figures: [
    ...RATES.flatMap(figuresAt),
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
  await startBareWebhook(cluster);
  const runAt =
    (perSecond: number): Run =>
    (namespace, seconds) =>
      load.run({ namespace, images, perSecond, seconds, expectRewritten: namespace !== PLAIN, signal });
  // What the first calls cost in compiled code and connections is no part of it.
  for (const namespace of [PLAIN, BARE_NAMESPACE, CACHED]) await runAt(100)(namespace, 5);
  const memory = new AbortController();
  const peak = peakWorkingSet(cluster, memory.signal);
  try {
    for (const rate of RATES) await measureAt(rate, cluster, bench, runAt(rate.perSecond));
  } finally {
    memory.abort();
    bench.record('webhook_mib', (await peak) / MIB || NaN);
  }
}

type Run = (namespace: string, seconds: number) => Promise<LoadResult>;

async function measureAt(
  { perSecond, suffix }: Rate,
  cluster: Cluster,
  bench: Bench,
  run: Run,
): Promise<void> {
  const watched = async (when: string, running: () => Promise<LoadResult>): Promise<LoadResult> => {
    const before = processorTime();
    const result = await running();
    report(bench, `${when}, ${perSecond}/s`, result, busySince(before));
    return result;
  };
  const plain = await watched('without any webhook', () => run(PLAIN, YARDSTICK_SECONDS));
  bench.record(`creation_plain_p99_ms${suffix}`, plain.p99Ms);
  for (const [name, namespace, seconds, infix] of [
    [BARE_WEBHOOK, BARE_NAMESPACE, YARDSTICK_SECONDS, '_bare'],
    [WEBHOOK, CACHED, SECONDS, ''],
  ] as const) {
    const before = await readHistogram(cluster, HISTOGRAM, `"${name}"`);
    const used = await processorSeconds(cluster);
    const { p99Ms, created } = await watched(`with ${name}`, () => run(namespace, seconds));
    const usedMs = 1_000 * ((await processorSeconds(cluster)) - used);
    const calls = since(before, await readHistogram(cluster, HISTOGRAM, `"${name}"`));
    bench.record(`creation${infix}_p99_ms${suffix}`, p99Ms);
    bench.record(`admission${infix}_p99_ms${suffix}`, reportCalls(bench, calls));
    if (name === WEBHOOK) bench.record(`webhook_cpu_ms${suffix}`, usedMs / created);
  }
  const own = 1_000 * quantile(0.99, await ownDurations(cluster));
  bench.report(
    `from the parsed body to the answer, by the replicas since they started: p99 ${own.toFixed(1)} ms`,
  );
  const { lost } = await watched('during a rollout and a rotation', () =>
    whileDisturbed(cluster, bench, run(CACHED, DISTURBED_SECONDS)),
  );
  bench.record(`admission_lost${suffix}`, lost.length);
}

/** Gives the p99 in milliseconds. */
function reportCalls(bench: Bench, calls: Histogram): number {
  const [median = NaN, p99 = NaN] = [0.5, 0.99].map((fraction) => 1_000 * quantile(fraction, calls));
  const short = (100 * (calls.get(SHORT_SECONDS) ?? NaN)) / (calls.get(Infinity) ?? NaN);
  bench.report(
    `   calls by the API server: median ${median.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms; ${short.toFixed(1)} % took at most 5 ms`,
  );
  return p99;
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

function report(bench: Bench, when: string, { lost, ...result }: LoadResult, busy: number): void {
  const { created, perSecond, medianMs, p99Ms, slowestMs } = result;
  bench.report(
    `${when}: ${created} pods at ${perSecond.toFixed(0)}/s; creation takes ${medianMs.toFixed(1)} ms, ` +
      `p99 ${p99Ms.toFixed(1)} ms, at most ${slowestMs.toFixed(0)} ms; ${lost.length} lost; processors ${(100 * busy).toFixed(0)} % busy`,
  );
  for (const line of [...new Set(lost)].slice(0, 5)) bench.report(`   lost: ${line}`);
}
