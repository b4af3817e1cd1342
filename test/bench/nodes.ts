/** On a real cluster: what many nodes' pulls cost upstream, and the memory of proxies and copiers. */
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Cluster } from '../cluster/cluster.ts';
import type { Site } from '../cluster/site.ts';
import { startCluster } from '../cluster/start.ts';
import { installLarder, NAMESPACE } from '../larder/install.ts';
import type { Bench, BenchGroup } from './group.ts';
import { MIB } from './images.ts';
import { pulledSchema, type Pulled } from './pull.ts';

const SITE = 'bench';
const PULLS_PER_NODE = 25;
const SMALL_BLOBS = 10;
const SAMPLE_MS = 2_000;
/** How often the kubelet measures, with a margin. */
const KUBELET_MS = 15_000;

export const nodes: BenchGroup = {
  name: 'nodes',
  figures: [
    {
      key: 'cold_amplification_50',
      meaning: 'upstream bytes ÷ image bytes, 50 pulls of 300 MiB at once, 2 nodes, 2 copiers',
      goal: { atMost: 1.01 },
    },
    {
      key: 'proxy_idle_mib',
      meaning: 'working set of a proxy by the kubelet, before any pull',
      goal: { atMost: 64 },
    },
    {
      key: 'proxy_busy_mib',
      meaning: 'the same with 8 parallel 1 GiB blobs, cold and warm',
      goal: { atMost: 96 },
    },
    {
      key: 'copier_busy_mib',
      meaning: 'working set of the only copier with 8 parallel 1 GiB blobs, cold',
      goal: { atMost: 192 },
    },
    {
      key: 'copier_2gib_vs_100mib',
      meaning: 'the same with one blob of 2 GiB ÷ with 10 of 100 MiB one after the other',
      goal: { atMost: 1.2 },
    },
  ],
  run: async (bench) => {
    const cluster = await clusterOf(bench);
    try {
      await measure(cluster, bench);
    } finally {
      if (process.env['KEEP'] !== '1') await cluster.stop();
    }
  },
};

async function clusterOf(bench: Bench): Promise<Cluster> {
  const { signal } = bench;
  const report = (line: string): void => {
    bench.report(line);
  };
  const cluster = await startCluster({ report, signal, keep: process.env['KEEP'] === '1' });
  const upstream = join(import.meta.dirname, 'upstream.ts');
  await cluster.internet.addSite({ name: SITE }, ({ record }) =>
    Promise.resolve([process.execPath, upstream, String(record.port)]),
  );
  await installLarder(cluster, { report, signal });
  return cluster;
}

async function measure(cluster: Cluster, bench: Bench): Promise<void> {
  const load = new Load(cluster, bench);
  // What starting took is forgotten by then.
  await delay(2 * KUBELET_MS, undefined, { signal: bench.signal });
  bench.record('proxy_idle_mib', Math.max(...(await load.workingSets('proxy'))));
  await load.scaleCopier(2);
  await load.measureAmplification();
  await load.settled();
  await load.scaleCopier(1);
  const small = await load.peakWhile(['copier'], async () => {
    for (let round = 0; round < SMALL_BLOBS; round += 1) await load.pull(1, `bench/small${round}-1x100`);
  });
  const large = await load.peakWhile(['copier'], () => load.pull(1, 'bench/large-1x2048'));
  bench.record('copier_2gib_vs_100mib', (large['copier'] ?? NaN) / (small['copier'] ?? NaN));
  const cold = await load.peakWhile(['proxy', 'copier'], () => load.pull(1, 'bench/busy-8x1024'));
  bench.record('copier_busy_mib', cold['copier'] ?? NaN);
  bench.record('proxy_busy_mib', cold['proxy'] ?? NaN);
  await load.settled();
  const warm = await load.peakWhile(['proxy'], () => load.pull(1, 'bench/busy-8x1024'));
  bench.record('proxy_busy_mib', Math.max(cold['proxy'] ?? NaN, warm['proxy'] ?? NaN));
}

class Load {
  readonly #cluster: Cluster;
  readonly #bench: Bench;
  readonly #site: Site;

  constructor(cluster: Cluster, bench: Bench) {
    this.#cluster = cluster;
    this.#bench = bench;
    this.#site = cluster.internet.site(SITE);
  }

  async scaleCopier(replicas: number): Promise<void> {
    const namespace = ['--namespace', NAMESPACE];
    await this.#cluster.kubectl([
      'scale',
      'deployment/larder-copier',
      `--replicas=${replicas}`,
      ...namespace,
    ]);
    await this.#cluster.kubectl([
      'rollout',
      'status',
      'deployment/larder-copier',
      '--timeout=120s',
      ...namespace,
    ]);
    const scaled = async (): Promise<boolean> => (await this.pods('copier')).length === replicas;
    await this.#cluster.waitFor(`${replicas} copiers`, scaled, { deadlineMs: 150_000 });
  }

  async measureAmplification(): Promise<void> {
    const repository = 'bench/crowd-3x100';
    await this.#prepare(repository);
    const before = await this.#sent();
    const pulled = await Promise.all(
      this.#cluster.nodes.map((_, index) => this.#pullNow(index + 1, repository, PULLS_PER_NODE)),
    );
    const upstreamBytes = (await this.#sent()) - before;
    const imageBytes = pulled.reduce((sum, { bytes }) => sum + bytes, 0) / (PULLS_PER_NODE * pulled.length);
    const times = pulled.map(({ seconds }) => seconds.toFixed(1)).join(' and ');
    this.#bench.report(
      `50 pulls of ${(imageBytes / MIB).toFixed(0)} MiB took ${times} s; upstream sent ${(upstreamBytes / MIB).toFixed(0)} MiB`,
    );
    this.#bench.record('cold_amplification_50', upstreamBytes / imageBytes);
  }

  async pull(node: number, repository: string): Promise<void> {
    await this.#prepare(repository);
    const { bytes, seconds } = await this.#pullNow(node, repository, 1);
    this.#bench.report(`${repository}: ${(bytes / MIB / seconds).toFixed(0)} MiB/s`);
  }

  /** Waits until no blob is on its way into the store any more: pulls are warm then. */
  async settled(): Promise<void> {
    const idle = async (): Promise<boolean> => {
      const pods = await this.pods('copier');
      const metrics = pods.map(async (pod) => {
        const path = `/api/v1/namespaces/${NAMESPACE}/pods/${pod}:8080/proxy/metrics`;
        return (await this.#cluster.kubectl(['get', '--raw', path])).stdout;
      });
      return (await Promise.all(metrics)).every((text) => /^larder_copier_downloads\S* 0$/m.test(text));
    };
    await this.#cluster.waitFor('all blobs are stored', idle, { deadlineMs: 180_000, intervalMs: 500 });
  }

  /** Highest working sets in MiB, by component, until the kubelet has looked once more after the work. */
  async peakWhile(components: readonly string[], work: () => Promise<void>): Promise<Record<string, number>> {
    const peaks: Record<string, number> = {};
    const sample = async (): Promise<void> => {
      for (const component of components) {
        const sets = await this.workingSets(component);
        peaks[component] = Math.max(peaks[component] ?? 0, ...sets);
      }
    };
    let until = Infinity;
    const sampling = (async () => {
      while (performance.now() < until) {
        await sample();
        await delay(SAMPLE_MS, undefined, { signal: this.#bench.signal });
      }
    })();
    try {
      await work();
    } finally {
      until = performance.now() + KUBELET_MS;
      await sampling;
    }
    this.#bench.report(`peaks in MiB: ${JSON.stringify(peaks)}`);
    return peaks;
  }

  /** In MiB, of each pod that the kubelet has measured. */
  async workingSets(component: string): Promise<number[]> {
    const pods = await this.pods(component);
    const sets = await Promise.all(pods.map((pod) => this.#cluster.workingSet(NAMESPACE, pod, component)));
    return sets.flatMap((bytes) => (bytes === undefined ? [] : [bytes / MIB]));
  }

  async pods(component: string): Promise<string[]> {
    const where = { namespace: NAMESPACE, selector: `app.kubernetes.io/component=${component}` };
    const { items } = await this.#cluster.read<{ items: { metadata: { name: string } }[] }>('v1/pods', where);
    return items.map(({ metadata }) => metadata.name);
  }

  async #pullNow(node: number, repository: string, times: number): Promise<Pulled> {
    const program = join(import.meta.dirname, 'pull.ts');
    const name = `${this.#site.registry.replace(':', '-')}/${repository}`;
    const argv = [process.execPath, program, 'http://127.0.0.1:7439', name, String(times)];
    const { stdout } = await this.#cluster.node(node).exec(argv, { signal: this.#bench.signal });
    return pulledSchema.parse(JSON.parse(stdout));
  }

  /** Upstream computes its digests at the first request, which is no part of a pull. */
  async #prepare(repository: string): Promise<void> {
    await this.#ask(`/v2/${repository}/manifests/latest`);
  }

  async #sent(): Promise<number> {
    return Number(await this.#ask('/sent'));
  }

  async #ask(path: string): Promise<string> {
    const client = this.#site.client();
    try {
      return await (await client.request(path)).body.text();
    } finally {
      await client.close();
    }
  }
}
