/**
 * Whichever of our own parts is down: what is cached is pulled, and what is not comes from a part that is
 * left.
 */
import { encodeCachedName } from '../../registry/core/cached-name.ts';
import { parseAccessLog } from '../cluster/access-log.ts';
import { TAG } from '../hostile/content.ts';
import { HostileSite } from '../hostile/site.ts';
import {
  cachedStates,
  type HostileImage,
  manifestPath,
  reference,
  throughProxy,
  uncached,
} from '../hostile/states.ts';
import type { Cluster } from '../cluster/cluster.ts';

import { NAMESPACE, RELEASE } from '../larder/install.ts';
import { copierIsTrusted, podsOf, scale, settled, signalPods, type Part } from '../larder/parts.ts';
import { forget, preheat } from '../larder/preheat.ts';
import { sharedCluster } from '../larder/shared-cluster.ts';

interface Row {
  readonly name: string;
  readonly begin: (cluster: Cluster) => Promise<void>;
  readonly end: (cluster: Cluster) => Promise<void>;
}

function frozen(part: Part, matching?: string): Pick<Row, 'begin' | 'end'> {
  const signal = async (cluster: Cluster, which: 'STOP' | 'CONT'): Promise<void> => {
    await signalPods(cluster, await podsOf(cluster, part), which, matching);
  };
  return { begin: (cluster) => signal(cluster, 'STOP'), end: (cluster) => signal(cluster, 'CONT') };
}

function killed(part: Part, matching?: string): Pick<Row, 'begin' | 'end'> {
  return {
    begin: async (cluster) => {
      await signalPods(cluster, await podsOf(cluster, part), 'KILL', matching);
    },
    // The kubelet and the store's supervisor start them again.
    end: () => Promise.resolve(),
  };
}

const ROWS: readonly Row[] = [
  { name: "the store's writer away", ...frozen('store', 'writer.json') },
  { name: "the store's reader killed", ...killed('store', 'reader.json') },
  { name: "the store's reader frozen", ...frozen('store', 'reader.json') },
  {
    name: 'controller and webhook gone',
    begin: async (cluster) => {
      await Promise.all([scale(cluster, 'controller', 0), scale(cluster, 'webhook', 0)]);
      await cluster.waitFor(
        'controller and webhook are gone',
        async () =>
          (await Promise.all([podsOf(cluster, 'controller'), podsOf(cluster, 'webhook')])).flat().length ===
          0,
        { deadlineMs: 30_000 },
      );
    },
    end: async (cluster) => {
      await Promise.all([scale(cluster, 'controller', 2), scale(cluster, 'webhook', 2)]);
    },
  },
  {
    name: 'the Kubernetes API stopped',
    begin: (cluster) => {
      cluster.programs.freeze('kube-apiserver');
      return Promise.resolve();
    },
    end: (cluster) => {
      cluster.programs.thaw('kube-apiserver');
      return Promise.resolve();
    },
  },
  {
    name: 'no cluster DNS',
    begin: (cluster) => cluster.programs.stop('coredns'),
    end: (cluster) => cluster.programs.restart('coredns'),
  },
  // Last, for proxies then ask upstream before a copier that has just come back.
  { name: 'every copier frozen', ...frozen('copier') },
  { name: 'every copier killed', ...killed('copier') },
];

const WRITER_ROW = ROWS.findIndex(({ name }) => name === "the store's writer away");

describe('a part of Larder that is down', () => {
  const cluster = sharedCluster();
  const node = cluster.node(2);
  let hostile: HostileSite;

  /** Each row has images of its own: what a node has pulled once proves nothing afterwards. */
  function imagesOf(row: number): HostileImage[] {
    return Object.values(cachedStates(hostile.host(20), `own-${row}`));
  }

  beforeAll(async () => {
    hostile = await HostileSite.of(cluster);
    await preheat(cluster, 'faults-own', ROWS.flatMap((_, row) => imagesOf(row)).map(reference));
  }, 120_000);

  afterAll(async () => {
    await settled(cluster);
    let n = 0;
    await copierIsTrusted(cluster, () =>
      manifestPath(uncached(hostile.host(23), 'none', `trust-${(n += 1)}`)),
    );
    await forget(cluster, 'faults-own');
  }, 120_000);

  it("the proxy restarted mid-pull: the runtime's retry succeeds", async () => {
    const image = uncached(hostile.host(22), 'slow', 'mid-pull');
    const proxies = (await podsOf(cluster, 'proxy')).filter((pod) => pod.node === node.name);
    await hostile.arm();
    try {
      const broken = node.pull(throughProxy(image)).then(
        () => 'pulled',
        () => 'broken off',
      );
      const asked = async (): Promise<boolean> =>
        (await hostile.asked()).some(({ path }) => path.includes('slow/mid-pull/blobs/'));
      await cluster.waitFor('the pull is under way', asked, { deadlineMs: 10_000, intervalMs: 50 });
      await signalPods(cluster, proxies, 'KILL');
      expect(await broken).toBe('broken off');
      const again = async (): Promise<boolean> => (await node.pull(throughProxy(image))).imageRef !== '';
      await cluster.waitFor('the pull succeeds', again, { deadlineMs: 30_000 });
    } finally {
      // What comes after finds no fault that it has not asked for.
      await hostile.disarm();
    }
  }, 60_000);

  it.each(ROWS.map((row, index) => ({ ...row, index })))(
    '$name: is not noticed by who pulls',
    async ({ begin, end, index }) => {
      await begin(cluster);
      try {
        const images = [...imagesOf(index), uncached(hostile.host(21), `own-${index}`)];
        await Promise.all(images.map(async (image) => node.pull(throughProxy(image))));
      } finally {
        await end(cluster);
      }
    },
    90_000,
  );

  it("the store's writer away: what was pulled meanwhile is committed afterwards", async () => {
    const { host, repository } = uncached(hostile.host(21), `own-${WRITER_ROW}`);
    const path = `/v2/${encodeCachedName({ host, repository })}/manifests/${TAG}`;
    const args = ['logs', `${RELEASE}-store-0`, '--namespace', NAMESPACE];
    const committed = async (): Promise<boolean> =>
      parseAccessLog((await cluster.kubectl(args)).stdout).some(
        (entry) => entry.method === 'PUT' && entry.path === path && entry.status === 201,
      );
    await cluster.waitFor(`${path} is in the store`, committed, { deadlineMs: 30_000, intervalMs: 500 });
  }, 60_000);
});
