/** How the controller copes with a large cluster: a real API server, with nodes and pods that kwok plays. */
import { readFileSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { parseDocument } from 'yaml';
import { RULES_KEY } from '../../api/rules.ts';
import { bundle } from '../../build/bundle.ts';
import { CACHED_IMAGE_FINALIZER, cachedImageName } from '../../api/names.ts';
import { imageRecords, type ImageRecord } from '../../controller/cluster/resources.ts';
import { KubeClient, type Patch } from '../../platform/kube/client.ts';
import { findCondition } from '../../platform/kube/conditions.ts';
import { ObjectCache, cacheWatch } from '../../platform/kube/cache.ts';
import {
  configMaps,
  type KubeObject,
  namespaces,
  nodes,
  pods,
  type Resource,
} from '../../platform/kube/resource.ts';
import { silentLogger } from '../../platform/log.ts';
import { parseReference } from '../../registry/core/reference.ts';
import { buildTool } from '../cluster/tools.ts';
import { RULES } from '../fakes/rules.ts';
import { waitFor } from '../cluster/wait.ts';
import { ApiServer } from '../envtest/api-server.ts';
import type { Bench, BenchGroup } from './group.ts';
import { Programs, type Program } from './programs.ts';
import { percentile } from './statistics.ts';
import { freeLoopbackPort } from '../../platform/ports.ts';

const PODS = 10_000;
const NAMESPACES = 200;
const IMAGES = 2_000;
const NODES = 50;
const RELEASE = 'larder';
/** As the chart starts it. */
const NODE_FLAGS = ['--max-semi-space-size=4', '--heap-growing-percent=40'];
const CRDS = join(import.meta.dirname, '../../manifests/chart/larder/files/crds');
const DIGEST = `sha256:${'a'.repeat(64)}`;
/** Creations under way at once; the API server does the rest of the ordering. */
const AT_ONCE = 24;
const STEADY_MS = 60_000;
const POD_RATE = 50;
const POD_SECONDS = 20;

const definitions: Resource<KubeObject> = {
  group: 'apiextensions.k8s.io',
  version: 'v1',
  kind: 'CustomResourceDefinition',
  plural: 'customresourcedefinitions',
  namespaced: false,
  decode: (raw) => raw as KubeObject,
};

/** What kwok does for a kubelet: a node tells its platform, a pod runs as soon as it is there. */
const KWOK_STAGES = [
  stage('node-ready', { apiGroup: 'v1', kind: 'Node' }, '.status.conditions', {
    nodeInfo: { operatingSystem: 'linux', architecture: 'amd64' },
    conditions: [{ type: 'Ready', status: 'True', reason: 'KubeletReady', message: '' }],
  }),
  stage('pod-runs', { apiGroup: 'v1', kind: 'Pod' }, '.status.startTime', {
    phase: 'Running',
    startTime: '{{ Now }}',
    conditions: [{ type: 'Ready', status: 'True' }],
  }),
];

/** Writes `status` to what does not have the field `until` yet. */
function stage(name: string, resourceRef: object, until: string, status: object): object {
  return {
    apiVersion: 'kwok.x-k8s.io/v1alpha1',
    kind: 'Stage',
    metadata: { name },
    spec: {
      resourceRef,
      selector: { matchExpressions: [{ key: until, operator: 'DoesNotExist' }] },
      next: { patches: [{ subresource: 'status', root: 'status', template: JSON.stringify(status) }] },
    },
  };
}

export const converge: BenchGroup = {
  name: 'converge',
  figures: [
    {
      key: 'converge_10k_s',
      meaning: `controller start → all statuses right; ${PODS} pods, ${NAMESPACES} namespaces, ${IMAGES} images already copied, s`,
      goal: { atMost: 60 },
    },
    {
      key: 'controller_10k_mib',
      meaning: "the controller's resident memory then, MiB",
      goal: { atMost: 256 },
    },
    { key: 'controller_10k_requests', meaning: 'its API requests a minute, steady state, watches aside' },
    {
      key: 'pod_to_cachedimage_p99_ms',
      meaning: `pod created → CachedImage exists, ${POD_RATE} pods/s, each with an image of its own, p99, ms`,
      goal: { atMost: 1_000 },
    },
  ],
  run: async (bench) => {
    const programs = await Programs.open();
    const api = await ApiServer.start();
    try {
      await measure(bench, api, programs);
    } finally {
      await programs.close();
      await api.stop();
    }
  },
};

async function measure(bench: Bench, api: ApiServer, programs: Programs): Promise<void> {
  const client = new KubeClient(api.connect(), 'bench');
  await furnish(client, api, programs, bench);
  const images = new ObjectCache<ImageRecord>();
  const watching = await cacheWatch(client, imageRecords, images, { log: silentLogger }).start(bench.signal);
  try {
    const metricsPort = await freeLoopbackPort();
    const folder = programs.subfolder('app');
    await bundle(folder);
    const started = performance.now();
    const controller = await startController(api, programs, { folder, metricsPort });
    await waitFor(
      'every CachedImage is Ready and counts its pods',
      () => Promise.resolve([...images.values()].filter(isValid).length === IMAGES),
      { deadlineMs: 300_000, intervalMs: 50, signal: bench.signal },
    );
    bench.record('converge_10k_s', (performance.now() - started) / 1000);
    bench.record('controller_10k_mib', residentMib(controller));
    const before = await requestsOf(metricsPort);
    await pause(STEADY_MS, undefined, { signal: bench.signal });
    bench.record(
      'controller_10k_requests',
      ((await requestsOf(metricsPort)) - before) / (STEADY_MS / 60_000),
    );
    bench.record('pod_to_cachedimage_p99_ms', await podsToImages(client, images, bench));
    bench.report(`resident at the end: ${residentMib(controller).toFixed(0)} MiB`);
  } finally {
    await watching.stop();
  }
}

/** The cluster before the controller starts: everything runs and is copied, but no status counts its pods. */
async function furnish(client: KubeClient, api: ApiServer, programs: Programs, bench: Bench): Promise<void> {
  for (const name of ['cachedimages', 'cachepolicies', 'imagecaches']) {
    const text = await readFile(join(CRDS, `larder.dev_${name}.yaml`), 'utf8');
    await client.create(definitions, parseDocument(text).toJS() as KubeObject);
  }
  await client.create(namespaces, { metadata: { name: RELEASE } });
  await client.create(configMaps, {
    metadata: { name: 'larder-rules', namespace: RELEASE },
    data: { [RULES_KEY]: JSON.stringify(RULES) },
  });
  const kwok = join(
    await buildTool('kwok', undefined, {
      report: (line) => {
        bench.report(line);
      },
    }),
    'kwok',
  );
  const port = await freeLoopbackPort();
  const stages = join(programs.folder, 'stages.json');
  await writeFile(stages, KWOK_STAGES.map((one) => JSON.stringify(one)).join('\n---\n'));
  const flags = [
    `--config=${stages}`,
    `--kubeconfig=${await api.kubeconfig()}`,
    '--manage-all-nodes=true',
    '--node-lease-duration-seconds=0',
  ];
  await programs.start({ name: 'kwok', argv: [kwok, ...flags, `--server-address=127.0.0.1:${port}`], port });
  await waitFor('CachedImages are served', () => client.list(imageRecords), { deadlineMs: 10_000 });
  await each(NODES, (n) =>
    client.create(nodes, { metadata: { name: `node-${n}`, labels: { 'kubernetes.io/os': 'linux' } } }),
  );
  const labels = { 'larder.dev/cache': 'enabled' };
  await each(NAMESPACES, (n) => client.create(namespaces, { metadata: { name: `team-${n}`, labels } }));
  await each(IMAGES, (n) => createCopied(client, n));
  bench.report(`${NODES} nodes, ${NAMESPACES} namespaces and ${IMAGES} CachedImages are there; now the pods`);
  await each(PODS, (n) => createPod(client, `pod-${n}`, n, imageOf(n % IMAGES)));
  await waitFor('kwok has all pods running', () => allRunning(client), {
    deadlineMs: 300_000,
    intervalMs: 2_000,
    signal: bench.signal,
  });
}

function imageOf(index: number): string {
  return `registry.example.test/shop/app-${index}:1.0`;
}

async function createPod(client: KubeClient, name: string, n: number, image: string): Promise<void> {
  await client.create(pods, {
    metadata: { name, namespace: `team-${n % NAMESPACES}` },
    spec: { nodeName: `node-${n % NODES}`, containers: [{ name: 'app', image }] },
  });
}

async function createCopied(client: KubeClient, n: number): Promise<void> {
  const image = imageOf(n);
  const name = cachedImageName(parseReference(image));
  const body = { apiVersion: 'larder.dev/v1alpha1', kind: 'CachedImage' };
  const metadata = { name, finalizers: [CACHED_IMAGE_FINALIZER], labels: { 'larder.dev/made-for': 'pods' } };
  await client.patch(imageRecords, { name }, applied({ ...body, metadata, spec: { image } }));
  const now = new Date().toISOString();
  const condition = (type: string, reason: string, message: string): object => ({
    type,
    status: 'True',
    reason,
    message,
    lastTransitionTime: now,
    observedGeneration: 1,
  });
  const status = {
    digest: DIGEST,
    upstreamDigest: DIGEST,
    sizeBytes: 73_400_320,
    platforms: ['linux/amd64'],
    requestedPlatforms: ['linux/amd64'],
    lastCheckedTime: now,
    conditions: [
      condition('Ready', 'Cached', 'complete for linux/amd64'),
      condition('UpstreamAvailable', 'Available', 'the upstream serves the image'),
    ],
  };
  await client.patch(imageRecords, { name }, applied({ ...body, metadata: { name }, status }), {
    subresource: 'status',
  });
}

function applied(body: object): Patch {
  return { type: 'apply', body, fieldManager: 'larder-controller', force: true };
}

async function allRunning(client: KubeClient): Promise<boolean> {
  const { items } = await client.list(pods, { fieldSelector: 'status.phase!=Running', limit: 1 });
  return items.length === 0;
}

function isValid({ image: { status } }: ImageRecord): boolean {
  return (
    status?.usedBy?.pods === PODS / IMAGES && findCondition(status.conditions, 'Ready')?.status === 'True'
  );
}

/** As it runs in the cluster: bundled, a process of its own. */
async function startController(
  api: ApiServer,
  programs: Programs,
  { folder, metricsPort }: { folder: string; metricsPort: number },
): Promise<Program> {
  const token = join(programs.folder, 'token');
  await writeFile(token, 'there is no copier here');
  return await programs.start({
    name: 'controller',
    argv: [process.execPath, ...NODE_FLAGS, join(folder, 'controller.mjs')],
    port: metricsPort,
    env: {
      KUBECONFIG: await api.kubeconfig(),
      LARDER_NAMESPACE: RELEASE,
      LARDER_FULLNAME: 'larder',
      LARDER_COPIER_URL: `https://127.0.0.1:${await freeLoopbackPort()}`,
      LARDER_COPIER_SERVER_NAME: 'larder-copier',
      LARDER_COPIER_TOKEN_FILE: token,
      LARDER_METRICS_LISTEN: `127.0.0.1:${metricsPort}`,
    },
  });
}

function residentMib({ pid }: Program): number {
  const [, kib] = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
  return Number(kib) / 1024;
}

/** Requests that the controller has sent to the API server so far. */
async function requestsOf(metricsPort: number): Promise<number> {
  const answer = await fetch(`http://127.0.0.1:${metricsPort}/metrics`);
  const lines = (await answer.text()).matchAll(/^larder_kube_requests_total\{.*\} (\d+)$/gm);
  return [...lines].reduce((sum, [, value]) => sum + Number(value), 0);
}

/** Creates pods at a steady rate, each with a new image. Returns the p99 until its CachedImage exists. */
async function podsToImages(
  client: KubeClient,
  images: ObjectCache<ImageRecord>,
  bench: Bench,
): Promise<number> {
  const seen = new Map<string, () => void>();
  images.onChange(({ before, after }) => {
    if (before === undefined) seen.get(after?.metadata.name ?? '')?.();
  });
  const started = performance.now();
  const total = POD_RATE * POD_SECONDS;
  const delays = await Promise.all(
    Array.from({ length: total }, async (_, n) => {
      const image = `registry.example.test/fresh/app-${n}:1.0`;
      const due = started + (n * 1000) / POD_RATE;
      await pause(Math.max(0, due - performance.now()), undefined, { signal: bench.signal });
      const appeared = new Promise<number>((resolve) => {
        seen.set(cachedImageName(parseReference(image)), () => {
          resolve(performance.now());
        });
      });
      await createPod(client, `fresh-${n}`, n, image);
      const created = performance.now();
      return Math.max(0, (await appeared) - created);
    }),
  );
  return percentile(delays, 0.99);
}

/** Does something for 0 … count-1, some at a time. */
async function each(count: number, work: (n: number) => Promise<unknown>): Promise<void> {
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < count) await work(next++);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
}
