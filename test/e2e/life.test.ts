/** The life of images on a real cluster: what is needed stays, what is not goes, what was lost comes back. */
import type { PushedImage } from '../cluster/cluster.ts';
import { CHART, NAMESPACE, RELEASE } from '../larder/install.ts';
import { LimitedCache, roomyLimit } from '../larder/limited-cache.ts';
import { podsOf, settled, signalPods } from '../larder/parts.ts';
import { CACHED_IMAGES } from '../larder/preheat.ts';
import { proxyFetch } from '../larder/proxy-fetch.ts';
import { sharedCluster } from '../larder/shared-cluster.ts';
import { collect } from '../larder/supervisor.ts';

const MEBIBYTE = 1024 * 1024;
const TEAM = 'life';
const cluster = sharedCluster();
const platform = process.arch === 'arm64' ? 'linux/arm64' : 'linux/amd64';

interface Image {
  readonly metadata: { readonly name: string; readonly uid: string };
  readonly spec: { readonly image: string };
  readonly status?: {
    readonly digest?: string;
    readonly usedBy?: { readonly pods: number };
    readonly expirationTime?: string;
    readonly previousDigests?: readonly { readonly digest: string }[];
    readonly conditions?: readonly {
      readonly type: string;
      readonly status: string;
      readonly reason: string;
      readonly lastTransitionTime: string;
    }[];
  };
}

interface PodView {
  readonly spec: { readonly containers: readonly { readonly image: string }[] };
}

/** Settings that a test can wait for; everything else stays as the shared cluster has it. */
async function configure(settings: Readonly<Record<string, unknown>>): Promise<void> {
  const args = [
    'upgrade',
    RELEASE,
    CHART,
    '--namespace',
    NAMESPACE,
    '--reuse-values',
    '--wait',
    '--timeout=90s',
  ];
  const values = JSON.stringify({ controller: settings });
  await cluster.helm([...args, '--values', '-'], { stdin: values });
}

const full = new LimitedCache(cluster, TEAM);
// Filling a cache is mostly waiting: so it is done beside other tests.
let filled: ReturnType<LimitedCache['fill']>;
let overfilled: Promise<void>;

beforeAll(async () => {
  const extraEnv = [{ name: 'LARDER_STORE_POLL', value: '1s' }];
  const timers = { expireAfter: '4s', refreshEvery: '2s', verifyEvery: '3s', keepPrevious: '1s' };
  await configure({ ...timers, maxSize: await roomyLimit(cluster), extraEnv });
  const labels = { 'larder.dev/cache': 'enabled' };
  await cluster.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: TEAM, labels } });
  filled = full.fill();
  filled.catch(() => undefined);
}, 120_000);

afterAll(async () => {
  await cluster.kubectl(['delete', 'namespace', TEAM, '--wait=false']);
  await cluster.kubectl(['delete', 'cachedimages', '--selector', 'larder-test=life', '--wait=false']);
  const timers = { expireAfter: '30d', refreshEvery: '1h', verifyEvery: '1h', keepPrevious: '1h' };
  await configure({ ...timers, maxSize: '', extraEnv: [] });
}, 120_000);

async function push(
  tag: string,
  changes: { seed?: string; layers?: number[]; name?: string } = {},
): Promise<PushedImage> {
  const { name = 'app', seed = `life/${name}:${tag}`, layers = [256 * 1024] } = changes;
  const platforms = ['linux/amd64', 'linux/arm64'] as const;
  return await cluster.pushImage({ site: 'plain', repository: `life/${name}`, tag, seed, layers, platforms });
}

async function run(name: string, image: string, replicas = 1): Promise<void> {
  const labels = { app: name };
  const containers = [{ name: 'app', image, imagePullPolicy: 'Always' }];
  await cluster.apply({
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name, namespace: TEAM },
    spec: {
      replicas,
      selector: { matchLabels: labels },
      template: { metadata: { labels }, spec: { terminationGracePeriodSeconds: 0, containers } },
    },
  });
  if (replicas > 0) {
    await cluster.kubectl(['rollout', 'status', `deployment/${name}`, '--namespace', TEAM, '--timeout=60s']);
  }
}

async function preheat(name: string, image: string): Promise<void> {
  await cluster.apply({
    apiVersion: 'larder.dev/v1alpha1',
    kind: 'CachedImage',
    metadata: { name, labels: { 'larder-test': 'life' } },
    spec: { image, retain: true },
  });
}

async function find(image: string): Promise<Image | undefined> {
  const { items } = await cluster.read<{ items: Image[] }>(CACHED_IMAGES);
  return items.find(({ spec }) => spec.image === image);
}

async function becomes(image: string, what: string, holds: (found: Image) => boolean): Promise<Image> {
  const look = async (): Promise<Image | false> => {
    const found = await find(image);
    return found !== undefined && holds(found) && found;
  };
  return await cluster.waitFor(`${image} ${what}`, look, { deadlineMs: 40_000, intervalMs: 200 });
}

function isCopying({ status }: Image): boolean {
  return status?.conditions?.some(({ type, reason }) => type === 'Ready' && reason === 'Copying') === true;
}

async function goes(image: string): Promise<void> {
  const gone = async (): Promise<boolean> => (await find(image)) === undefined;
  await cluster.waitFor(`${image} goes`, gone, { deadlineMs: 40_000, intervalMs: 200 });
}

const isReady = ({ status }: Image): boolean =>
  status?.conditions?.some(({ type, status: is }) => type === 'Ready' && is === 'True') === true;

function readySince({ status }: Image): string | undefined {
  return status?.conditions?.find(({ type }) => type === 'Ready')?.lastTransitionTime;
}

/** Asks the store's reader through the proxy, for what a node needs of an image. */
async function served({ repository }: PushedImage, digest: string): Promise<number> {
  const path = repository.replace(/:(\d+)\//, '-$1/');
  return (await proxyFetch(cluster.node(1), `/v2/${path}/manifests/${digest}`)).status;
}

/** As an owner of the upstream does. */
async function remove({ repository, digest }: PushedImage): Promise<void> {
  const client = cluster.internet.site('plain').client();
  const path = repository.slice(repository.indexOf('/') + 1);
  const { statusCode, body } = await client.request(`/v2/${path}/manifests/${digest}`, { method: 'DELETE' });
  await body.dump();
  await client.close();
  expect(statusCode).toBe(202);
}

interface EventList {
  readonly items: readonly { readonly involvedObject: { readonly kind: string; readonly name: string } }[];
}

/** @param subject kind and name of what the Event is about, or how that begins */
async function isTold(namespace: string, reason: string, subject: string): Promise<void> {
  const look = async (): Promise<boolean> => {
    const { items } = await cluster.read<EventList>('v1/events', { namespace, fields: `reason=${reason}` });
    return items.some(({ involvedObject: { kind, name } }) => `${kind}/${name}`.startsWith(subject));
  };
  await cluster.waitFor(`an Event ${reason} about ${subject}`, look, { deadlineMs: 40_000 });
}

async function lease(): Promise<{ readonly holder: string; readonly acquired: number }> {
  interface Lease {
    readonly spec: { readonly holderIdentity: string; readonly acquireTime: string };
  }
  const where = { namespace: NAMESPACE, name: `${RELEASE}-controller` };
  const { spec } = await cluster.read<Lease>('coordination.k8s.io/v1/leases', where);
  return { holder: spec.holderIdentity, acquired: Date.parse(spec.acquireTime) };
}

describe('Delete safely', () => {
  it('of two tags on one digest one is deleted: the other keeps all that it needs, also after a collection', async () => {
    const [first, second] = [await push('one', { seed: 'same' }), await push('two', { seed: 'same' })];
    expect(first.digest).toBe(second.digest);
    await preheat('life-one', first.reference);
    await preheat('life-two', second.reference);
    for (const { reference } of [first, second]) await becomes(reference, 'is Ready', isReady);
    await cluster.kubectl(['delete', 'cachedimage', 'life-one', '--timeout=30s']);
    await collect(cluster);
    await cluster.internet.site('plain').link.blackHole();
    try {
      expect(await served(second, second.digest)).toBe(200);
      expect(await served(second, second.platforms[platform]?.digest ?? '')).toBe(200);
      await cluster.node(1).pull(`localhost:7439/${second.reference.replace(/:(\d+)\//, '-$1/')}`);
    } finally {
      await cluster.internet.site('plain').link.restore();
    }
    expect(isReady(await becomes(second.reference, 'is there', () => true))).toBe(true);
  }, 90_000);

  it('a CachedImage that pods still use comes back when it is deleted', async () => {
    const image = await push('used');
    await run('used', image.reference);
    const before = await becomes(image.reference, 'is Ready', isReady);
    await cluster.kubectl(['delete', 'cachedimage', before.metadata.name, '--timeout=30s']);
    await becomes(
      image.reference,
      'is back',
      (found) => found.metadata.uid !== before.metadata.uid && isReady(found),
    );
    expect(await served(image, image.digest)).toBe(200);
  }, 90_000);
});

describe('Keep', () => {
  it('scaled to zero it expires, and scaled up again it runs and is cached anew', async () => {
    const image = await push('zero', { name: 'zero' });
    await run('zero', image.reference);
    await becomes(image.reference, 'is Ready', isReady);
    await run('zero', image.reference, 0);
    await becomes(
      image.reference,
      'has a time to expire',
      ({ status }) => status?.expirationTime !== undefined,
    );
    await goes(image.reference);
    await run('zero', image.reference);
    await becomes(image.reference, 'is Ready again', isReady);
  }, 90_000);
});

describe('Refresh', () => {
  it('a tag moves while what it named before runs, and goes: the pod is told, and what it needs stays until it has gone', async () => {
    const old = await push('moves', { name: 'moves', seed: 'old' });
    await run('moves', old.reference);
    await becomes(old.reference, 'is Ready', isReady);
    const next = await push('moves', { name: 'moves', seed: 'new' });
    const moved = await becomes(old.reference, 'has moved', ({ status }) => status?.digest === next.digest);
    expect(isReady(moved)).toBe(true);
    expect(moved.status?.previousDigests?.map(({ digest }) => digest)).toEqual([old.digest]);
    expect(await served(old, old.digest)).toBe(200);
    // While it runs, what it runs stays, however often the controller looks.
    await becomes(old.reference, 'still has the old', ({ status }) => status?.previousDigests !== undefined);
    await isTold(TEAM, 'UpstreamMoved', 'Pod/moves-');
    await remove(next);
    await isTold(TEAM, 'UpstreamNotFound', 'Pod/moves-');
    await isTold('default', 'UpstreamNotFound', `CachedImage/${moved.metadata.name}`);
    await run('moves', old.reference, 0);
    const isRid = async (): Promise<boolean> =>
      (await find(old.reference))?.status?.previousDigests === undefined;
    await cluster.waitFor('the old has gone', isRid, { deadlineMs: 40_000, intervalMs: 200 });
    const lost = await becomes(old.reference, 'is unused', ({ status }) => status?.usedBy?.pods === 0);
    expect([isReady(lost), lost.status?.expirationTime]).toEqual([true, undefined]);
    await cluster.kubectl(['delete', 'cachedimage', lost.metadata.name, '--wait=false']);
  }, 90_000);
});

describe('the collector', () => {
  // Nothing waits for its time to expire any more, which would be cut short.
  beforeAll(() => {
    overfilled = filled.then(() => full.overfill());
    overfilled.catch(() => undefined);
  });

  it('runs during a copy: the copy succeeds, and what it copied is whole', async () => {
    const image = await push('slow', { name: 'slow', layers: [2 * MEBIBYTE, 2 * MEBIBYTE] });
    const { link } = cluster.internet.site('plain');
    await link.slow(1.5 * MEBIBYTE);
    try {
      await preheat('life-slow', image.reference);
      await becomes(image.reference, 'is being copied', isCopying);
      await collect(cluster);
    } finally {
      await link.restore();
    }
    await becomes(image.reference, 'is Ready', isReady);
    await cluster.node(2).pull(`localhost:7439/${image.reference.replace(/:(\d+)\//, '-$1/')}`);
  }, 90_000);
});

describe('a limit', () => {
  it('lets go what was used longest ago of what nobody uses, and a collection wins its space', async () => {
    const { wonBytes, held } = await filled;
    expect(held).toEqual(['two', 'three']);
    expect(wonBytes).toBeGreaterThan(30 * MEBIBYTE);
    await isTold('default', 'Evicted', 'CachedImage/one-1-');
  }, 120_000);

  it('lets nothing go that is used: then a condition, an Event and a metric say so', async () => {
    await overfilled;
    await isTold('default', 'OverLimit', `ImageCache/${RELEASE}`);
    // The volume is read now and then, also while an image is still being written.
    const isOver = async (): Promise<boolean> => (await full.excess()) > 8 * MEBIBYTE;
    await cluster.waitFor('the metric says by how much', isOver, { deadlineMs: 40_000, intervalMs: 500 });
    expect(await full.held()).toEqual(['three', 'more']);
    await full.forget();
  }, 90_000);
});

describe('Verify', () => {
  it('a wiped volume is noticed, told, and refilled by itself', async () => {
    const pushed = await push('used');
    const used = await becomes(pushed.reference, 'is Ready', isReady);
    const [store] = await podsOf(cluster, 'store');
    const machine = cluster.nodes.find(({ name }) => name === store?.node);
    const data = '/var/lib/kubelet/pods/*/volumes/kubernetes.io~empty-dir/data/registry/docker';
    // At one stroke: what is noticed missing comes back while the rest is still being removed.
    const wipe = `for folder in ${data}; do mv $folder $folder.wiped; rm -rf $folder.wiped; done`;
    await machine?.exec(['sh', '-c', wipe]);
    // It may be refilled sooner than anybody who looks now and then sees that it was not Ready.
    const since = readySince(used);
    await becomes(
      used.spec.image,
      'was not Ready, and is again',
      (found) => isReady(found) && readySince(found) !== since,
    );
    expect(await served(pushed, pushed.digest)).toBe(200);
  }, 90_000);
});

describe('CachePolicy', () => {
  it('keeps images out of the cache: pods name them as they are, and pull them without Larder', async () => {
    const image = await push('huge', { name: 'huge' });
    await cluster.apply({
      apiVersion: 'larder.dev/v1alpha1',
      kind: 'CachePolicy',
      metadata: { name: 'life-huge' },
      spec: { match: { images: ['*/life/huge'] }, cache: false },
    });
    const labels = { 'larder-test': 'life' };
    // Admission hears of the policy by its watch.
    const admitted = async (): Promise<boolean> => {
      const name = `huge-${Date.now()}`;
      const spec = { containers: [{ name: 'app', image: image.reference }] };
      await cluster.apply({
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { name, namespace: TEAM, labels },
        spec,
      });
      const pod = await cluster.read<PodView>('v1/pods', { namespace: TEAM, name });
      return pod.spec.containers.every((container) => container.image === image.reference);
    };
    await cluster.waitFor('the pod to be left alone', admitted, { deadlineMs: 20_000, intervalMs: 500 });
    await cluster.kubectl(['delete', 'cachepolicy', 'life-huge']);
  }, 60_000);
});

describe('Two replicas', () => {
  it('a leader dies in the middle of a copy: its successor finishes it, and no blob is fetched twice', async () => {
    const image = await push('killed', { name: 'killed', layers: [2 * MEBIBYTE, 2 * MEBIBYTE] });
    const site = cluster.internet.site('plain');
    const mark = site.mark();
    const { holder: held } = await lease();
    const leader = (await podsOf(cluster, 'controller')).filter(({ name }) => name === held);
    await site.link.slow(1.5 * MEBIBYTE);
    try {
      await preheat('life-killed', image.reference);
      await becomes(image.reference, 'is being copied', isCopying);
      await signalPods(cluster, leader, 'KILL');
    } finally {
      await site.link.restore();
    }
    await becomes(image.reference, 'is Ready', isReady);
    const blobs = site
      .accessLog(mark)
      .filter(({ method, path }) => method === 'GET' && path.includes('/life/killed/blobs/'))
      .map(({ path }) => path);
    expect(blobs.length).toBeGreaterThanOrEqual(3);
    expect(new Set(blobs).size).toBe(blobs.length);
    await settled(cluster);
  }, 90_000);

  it('a leader frozen with a deletion before it is replaced in less than 15 s, and writes nothing when it wakes', async () => {
    const image = await push('frozen', { name: 'frozen' });
    await preheat('life-frozen', image.reference);
    await becomes(image.reference, 'is Ready', isReady);
    const { holder: held } = await lease();
    const leader = (await podsOf(cluster, 'controller')).filter(({ name }) => name === held);
    const began = Date.now();
    await signalPods(cluster, leader, 'STOP');
    await cluster.kubectl(['delete', 'cachedimage', 'life-frozen', '--wait=false']);
    await goes(image.reference);
    const successor = await lease();
    const seconds = (successor.acquired - began) / 1000;
    expect(successor.holder).not.toBe(held);
    expect(seconds).toBeLessThan(15);
    const woke = new Date();
    await signalPods(cluster, leader, 'CONT');
    const lines = await cluster.waitFor(
      'the frozen leader says that it leads no more',
      async () => {
        const args = ['logs', held, '--namespace', NAMESPACE, `--since-time=${woke.toISOString()}`];
        const { stdout } = await cluster.kubectl(args);
        return stdout.includes('no longer leading') && stdout;
      },
      { deadlineMs: 15_000, intervalMs: 200 },
    );
    expect(lines).not.toContain('image wanted');
    expect((await lease()).holder).toBe(successor.holder);
    await settled(cluster);
    console.log(`another led after ${seconds.toFixed(1)} s`);
  }, 90_000);
});
