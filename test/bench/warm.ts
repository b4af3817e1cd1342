/** The warm path: a cached image through the proxy, through nginx, and through a pull-through cache. */
import { Agent, request } from 'undici';
import { StoreAuthenticator } from '../../registry/transport/auth/store-login.ts';
import { OCI_MANIFEST } from '../../registry/core/media-types.ts';
import { drain } from './drain.ts';
import type { Bench, BenchGroup } from './group.ts';
import { GIB, pushImage, type PushedImage } from './images.ts';
import { bundleLarder, startProxy, startStore, storeAuthorization, type RunningProxy } from './larder.ts';
import { Programs, type Program } from './programs.ts';
import { startDistribution, startNginx } from './rivals.ts';
import { median, percentile } from './statistics.ts';

const ROUNDS = 7;
const MANIFEST_ROUNDS = 5;
const CONNECTIONS = 50;
const REQUESTS = 2_000;
const REPOSITORY = 'docker.io/bench/warm';
/** Nobody listens there. */
const NOBODY = 'http://127.0.0.1:9';

export const warm: BenchGroup = {
  name: 'warm',
  figures: [
    {
      key: 'warm_blob_vs_nginx',
      meaning: '1 GiB blob, proxy → store: throughput ÷ nginx before the same store',
      goal: { atLeast: 0.8 },
    },
    {
      key: 'warm_blob_vs_distribution',
      meaning: 'the same ÷ distribution that has the blob as a pull-through cache',
      goal: { atLeast: 1 },
    },
    { key: 'warm_blob_mib_per_s', meaning: 'that throughput of the proxy' },
    {
      key: 'warm_manifest_p99_ms',
      meaning: '50 connections, through the proxy, minus the p99 of the store itself',
      goal: { atMost: 10 },
    },
    { key: 'cpu_ms_per_manifest_warm', meaning: 'CPU milliseconds of the proxy per manifest' },
    { key: 'cpu_s_per_gib_warm', meaning: 'CPU seconds of the proxy per GiB' },
    { key: 'cpu_s_per_gib_warm_nginx', meaning: 'CPU seconds of nginx per GiB' },
  ],
  run: async (bench) => {
    const programs = await Programs.open();
    try {
      await measure(programs, bench);
    } finally {
      await programs.close();
    }
  },
};

interface Contender {
  readonly name: string;
  readonly program: Program;
  readonly blobUrl: string;
  readonly headers: Readonly<Record<string, string>>;
}

async function measure(programs: Programs, bench: Bench): Promise<void> {
  const app = await bundleLarder(programs);
  const store = await startStore(programs, app);
  const authorization = await storeAuthorization(store.readerLogin, REPOSITORY);
  const image = await pushImage(
    {
      origin: store.writerUrl,
      repository: REPOSITORY,
      authenticator: new StoreAuthenticator(store.writerLogin),
    },
    { tag: 'warm', seed: 'warm', layers: [GIB] },
    bench.signal,
  );
  const proxy = await startProxy(programs, app, { store, copierUrl: NOBODY });
  const nginx = await startNginx(programs, { target: store.readerUrl, authorization, signal: bench.signal });
  const open = await startDistribution(programs, { name: 'open', dataFolder: store.imagesFolder });
  const pullThrough = await startDistribution(programs, {
    name: 'pull-through',
    dataFolder: programs.subfolder('pull-through'),
    pullThrough: open.url,
  });
  const path = `/v2/${REPOSITORY}/blobs/${image.layers[0] ?? ''}`;
  const contender = (
    name: string,
    { url, program }: { url: string; program: Program },
    headers = {},
  ): Contender => ({
    name,
    program,
    blobUrl: url + path,
    headers,
  });
  await measureBlobs(bench, [
    contender('proxy', proxy),
    contender('nginx', nginx),
    contender('pull-through', pullThrough),
    contender('store', { url: store.readerUrl, program: store.program }, { authorization }),
  ]);
  await measureManifests(bench, image, { proxy, store: store.readerUrl }, authorization);
}

/** One after the other in each round, so that whatever else the machine does hits all alike. */
async function measureBlobs(bench: Bench, contenders: readonly Contender[]): Promise<void> {
  for (const { name, blobUrl, headers } of contenders) await warmUp(name, blobUrl, headers);
  const speeds = new Map(contenders.map(({ name }) => [name, [] as number[]]));
  const cpu = new Map(contenders.map(({ name }) => [name, [] as number[]]));
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const { name, program, blobUrl, headers } of contenders) {
      bench.signal.throwIfAborted();
      const before = program.cpuSeconds();
      const { totalMs, bytes } = await drain(blobUrl, headers);
      speeds.get(name)?.push(bytes / 2 ** 20 / (totalMs / 1_000));
      cpu.get(name)?.push(program.cpuSeconds() - before);
    }
  }
  const speed = (name: string): number => median(speeds.get(name) ?? []);
  for (const { name } of contenders) {
    const all = (speeds.get(name) ?? []).map((value) => value.toFixed(0)).join(' ');
    bench.report(`${name}: ${speed(name).toFixed(0)} MiB/s (${all})`);
  }
  bench.record('warm_blob_mib_per_s', speed('proxy'));
  bench.record('warm_blob_vs_nginx', ratios(speeds, 'nginx'));
  bench.record('warm_blob_vs_distribution', ratios(speeds, 'pull-through'));
  bench.record('cpu_s_per_gib_warm', median(cpu.get('proxy') ?? []));
  bench.record('cpu_s_per_gib_warm_nginx', median(cpu.get('nginx') ?? []));
}

/** Median of the rounds' own ratios: the two of one round had the machine in the same mood. */
function ratios(speeds: ReadonlyMap<string, readonly number[]>, rival: string): number {
  const theirs = speeds.get(rival) ?? [];
  return median((speeds.get('proxy') ?? []).map((ours, round) => ours / (theirs[round] ?? NaN)));
}

/** Until it has the whole blob at hand: a pull-through cache goes on writing after its client has got all. */
async function warmUp(name: string, url: string, headers: Readonly<Record<string, string>>): Promise<void> {
  const { status } = await drain(url, headers);
  if (status !== 200) throw new Error(`${name} answered ${status}`);
  await drain(url, headers);
}

async function measureManifests(
  bench: Bench,
  image: PushedImage,
  { proxy, store }: { readonly proxy: RunningProxy; readonly store: string },
  authorization: string,
): Promise<void> {
  const path = `/v2/${REPOSITORY}/manifests/${image.digest}`;
  const proxied: number[] = [];
  const direct: number[] = [];
  const cpuMs: number[] = [];
  for (let round = 0; round < MANIFEST_ROUNDS; round += 1) {
    direct.push(await manifestP99(store + path, { authorization }, bench.signal));
    const before = proxy.program.cpuSeconds();
    proxied.push(await manifestP99(proxy.url + path, {}, bench.signal));
    cpuMs.push(((proxy.program.cpuSeconds() - before) / REQUESTS) * 1_000);
  }
  const differences = proxied.map((value, round) => value - (direct[round] ?? NaN));
  const list = (values: readonly number[]): string => values.map((value) => value.toFixed(1)).join(' ');
  bench.report(`manifest p99 in ms: proxy ${list(proxied)}; store ${list(direct)}`);
  bench.record('warm_manifest_p99_ms', median(differences));
  bench.record('cpu_ms_per_manifest_warm', median(cpuMs));
}

/** The 99th percentile in milliseconds, with 50 connections that ask without pause. */
async function manifestP99(
  url: string,
  headers: Readonly<Record<string, string>>,
  signal: AbortSignal,
): Promise<number> {
  const agent = new Agent({ connections: CONNECTIONS });
  const times: number[] = [];
  let left = REQUESTS;
  const worker = async (): Promise<void> => {
    while (left > 0) {
      left -= 1;
      const startedAt = performance.now();
      const { statusCode, body } = await request(url, {
        dispatcher: agent,
        headers: { ...headers, accept: OCI_MANIFEST },
        signal,
      });
      await body.arrayBuffer();
      if (statusCode !== 200) throw new Error(`${url} answered ${statusCode}`);
      times.push(performance.now() - startedAt);
    }
  };
  try {
    await Promise.all(Array.from({ length: CONNECTIONS }, worker));
  } finally {
    await agent.close();
  }
  // The first requests of all connections wait for each other's connecting.
  return percentile(times.slice(CONNECTIONS * 2), 0.99);
}
