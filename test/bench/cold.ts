/** The cold path beside crane: time to the first byte of an uncached blob, and for a whole image. */
import { join } from 'node:path';
import { Agent, request } from 'undici';
import { COPY_PATH, copyEventSchema } from '../../api/copier-api.ts';
import { StoreAuthenticator } from '../../registry/transport/auth/store-login.ts';
import { run } from '../cluster/command.ts';
import { buildTool } from '../cluster/tools.ts';
import { startCopier, type RunningCopier } from './copier.ts';
import { drain } from './drain.ts';
import type { Bench, BenchGroup } from './group.ts';
import { MIB, pushImage } from './images.ts';
import { bundleLarder, startProxy, startStore } from './larder.ts';
import { Programs } from './programs.ts';
import { startDistribution } from './rivals.ts';
import { median } from './statistics.ts';

const BLOBS = 20;
const COPIES = 3;
const LAYERS = Array.from({ length: 8 }, () => 128 * MIB);

export const cold: BenchGroup = {
  name: 'cold',
  figures: [
    {
      key: 'cold_blob_ttfb_over_upstream_ms',
      meaning: "first byte of an uncached blob through proxy and copier, minus upstream's own",
      goal: { atMost: 20 },
    },
    {
      key: 'copy_vs_crane',
      meaning:
        'time to copy 8 layers of 128 MiB into the store ÷ `crane copy` of the same between the same registries',
      goal: { atMost: 1 },
    },
    { key: 'copy_s', meaning: 'that time of the copier' },
    { key: 'copy_cpu_s_per_gib', meaning: 'CPU seconds of the copier per GiB copied' },
  ],
  run: async (bench) => {
    const programs = await Programs.open();
    try {
      const app = await bundleLarder(programs);
      const store = await startStore(programs, app);
      const dataFolder = programs.subfolder('upstream');
      const upstream = (await startDistribution(programs, { name: 'upstream', dataFolder })).url;
      const copier = await startCopier(programs, app, { store, upstream: new URL(upstream).host });
      const openStore = (await startDistribution(programs, { name: 'open', dataFolder: store.imagesFolder }))
        .url;
      const world = { openStore, upstream, copier };
      try {
        const proxy = await startProxy(programs, app, { store, copierUrl: copier.url, env: copier.proxyEnv });
        await measureFirstByte(bench, world, proxy.url);
        await measureCopies(bench, world);
      } finally {
        await copier.close();
      }
    } finally {
      await programs.close();
    }
  },
};

interface World {
  /** The store's content, behind a registry that asks for no login. */
  readonly openStore: string;
  readonly upstream: string;
  readonly copier: RunningCopier;
}

const noLogin = new StoreAuthenticator(undefined);

function cachedName(upstream: string, repository: string): string {
  return `${new URL(upstream).host.replace(':', '-')}/${repository}`;
}

async function measureFirstByte(bench: Bench, { upstream }: World, proxyUrl: string): Promise<void> {
  const destination = { origin: upstream, repository: 'bench/first', authenticator: noLogin };
  const layers = Array.from({ length: BLOBS }, () => 8 * MIB);
  const image = await pushImage(destination, { tag: 'latest', seed: 'first', layers }, bench.signal);
  const over: number[] = [];
  for (const digest of image.layers) {
    const own = await drain(`${upstream}/v2/bench/first/blobs/${digest}`);
    const ours = await drain(`${proxyUrl}/v2/${cachedName(upstream, 'bench/first')}/blobs/${digest}`);
    if (own.status !== 200 || ours.status !== 200) throw new Error(`${own.status} and ${ours.status}`);
    over.push(ours.firstByteMs - own.firstByteMs);
  }
  bench.report(`first byte over upstream in ms: ${over.map((ms) => ms.toFixed(1)).join(' ')}`);
  bench.record('cold_blob_ttfb_over_upstream_ms', median(over));
}

/**
 * Each round has an image of its own, since the copier links in the store what that has already; both copy it
 * into repositories where nothing is yet, the copier first.
 */
async function measureCopies(bench: Bench, world: World): Promise<void> {
  const ours: number[] = [];
  const theirs: number[] = [];
  const cpu: number[] = [];
  for (let round = 0; round < COPIES; round += 1) {
    bench.signal.throwIfAborted();
    const repository = `bench/copy${round}`;
    const destination = { origin: world.upstream, repository, authenticator: noLogin };
    await pushImage(destination, { tag: 'latest', seed: repository, layers: LAYERS }, bench.signal);
    const before = world.copier.program.cpuSeconds();
    ours.push(await timed(() => order(world, repository)));
    cpu.push(world.copier.program.cpuSeconds() - before);
    theirs.push(await timed(() => craneCopy(world, repository)));
  }
  const list = (values: readonly number[]): string => values.map((value) => value.toFixed(2)).join(' ');
  bench.report(`copies in s: copier ${list(ours)}; crane ${list(theirs)}; CPU of the copier ${list(cpu)}`);
  bench.record('copy_s', median(ours));
  bench.record('copy_cpu_s_per_gib', median(cpu));
  bench.record('copy_vs_crane', median(ours.map((seconds, round) => seconds / (theirs[round] ?? NaN))));
}

async function timed(copy: () => Promise<void>): Promise<number> {
  const startedAt = performance.now();
  await copy();
  return (performance.now() - startedAt) / 1_000;
}

/** As the controller orders. */
async function order({ copier, upstream }: World, repository: string): Promise<void> {
  const agent = new Agent({ connect: { ca: copier.ca, servername: 'larder-copier' } });
  try {
    const { body, statusCode } = await request(copier.url + COPY_PATH, {
      method: 'POST',
      headers: { authorization: `Bearer ${copier.token}`, 'content-type': 'application/json' },
      body: JSON.stringify({
        image: `${new URL(upstream).host}/${repository}:latest`,
        platforms: ['linux/amd64'],
        pullSecrets: [],
      }),
      dispatcher: agent,
    });
    const text = await body.text();
    const last = text.trim().split('\n').at(-1) ?? '';
    if (statusCode !== 200 || copyEventSchema.parse(JSON.parse(last)).type !== 'done')
      throw new Error(`the copier answered ${statusCode} ${text}`);
  } finally {
    await agent.close();
  }
}

/**
 * Into the store's folder, by a registry without login: crane needs a server to tell where tokens are had.
 */
async function craneCopy({ upstream, openStore }: World, repository: string): Promise<void> {
  const crane = join(await buildTool('crane'), 'crane');
  const name = cachedName(upstream, `crane/${repository}`);
  await run([
    crane,
    'copy',
    `${new URL(upstream).host}/${repository}:latest`,
    `${new URL(openStore).host}/${name}:latest`,
  ]);
}
