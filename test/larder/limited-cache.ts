/** Fills the cache of a shared cluster up to its limit with images made to measure, and reports on it. */
import type { Cluster, PushedImage } from '../cluster/cluster.ts';
import { RELEASE } from './install.ts';
import { nodeFetch } from './node-fetch.ts';
import { podsOf } from './parts.ts';
import { CACHED_IMAGES } from './preheat.ts';

const MEBIBYTE = 1024 * 1024;
/** Bytes of each image that fills the cache, without its program. */
const LAYER = 48 * MEBIBYTE;
/** That of the nodes, the only one that is copied. */
const PLATFORM = process.arch === 'arm64' ? 'linux/arm64' : 'linux/amd64';
const POLICY = 'limited-cache';
const WAIT = { deadlineMs: 60_000, intervalMs: 200 };

interface ImageView {
  readonly metadata: { readonly name: string; readonly deletionTimestamp?: string };
  readonly spec: { readonly image: string };
  readonly status?: {
    readonly expirationTime?: string;
    readonly lastUsedTime?: string;
    readonly sizeBytes?: number;
    readonly conditions?: readonly { readonly type: string; readonly status: string }[];
  };
}

interface CacheView {
  readonly status: {
    readonly sizeBytes: number;
    readonly limitBytes?: number;
    readonly lastCollection?: { readonly startedAt: string; readonly error?: string };
    readonly conditions: readonly {
      readonly type: string;
      readonly status: string;
      readonly reason: string;
    }[];
  };
}

async function cacheOf(cluster: Cluster): Promise<CacheView> {
  return await cluster.read<CacheView>('larder.dev/v1alpha1/imagecaches', { name: RELEASE });
}

/** A limit, in the form that the chart accepts, with room for two of the images that fill the cache. */
export async function roomyLimit(cluster: Cluster): Promise<string> {
  const { sizeBytes } = (await cacheOf(cluster)).status;
  return `${Math.ceil(sizeBytes / MEBIBYTE) + 120}Mi`;
}

/** Has garbage collected as an administrator would, and waits until that has succeeded. */
async function collectByAnnotation(cluster: Cluster): Promise<void> {
  const asked = new Date();
  const request = `larder.dev/collect=${asked.toISOString()}`;
  await cluster.kubectl(['annotate', 'imagecache', RELEASE, request, '--overwrite']);
  const ended = async (): Promise<boolean> => {
    const after = (await cacheOf(cluster)).status.lastCollection;
    // One that was already running may have missed what was removed since.
    return after !== undefined && new Date(after.startedAt) >= asked && after.error === undefined;
  };
  await cluster.waitFor('the collection', ended, WAIT);
}

export class LimitedCache {
  readonly #cluster: Cluster;
  readonly #namespace: string;
  readonly #images = new Map<string, PushedImage>();
  /** Used by no other test, so that leftovers of earlier runs are evicted. */
  readonly #project = `full-${Date.now()}`;

  constructor(cluster: Cluster, namespace: string) {
    this.#cluster = cluster;
    this.#namespace = namespace;
  }

  /**
   * Two images fill the cache, used one after the other; a third exceeds it.
   * @returns bytes freed on the store's disk once the first was evicted, and the images that the cache holds
   * then
   */
  async fill(): Promise<{ readonly wonBytes: number; readonly held: readonly string[] }> {
    await this.#cluster.apply({
      apiVersion: 'larder.dev/v1alpha1',
      kind: 'CachePolicy',
      metadata: { name: POLICY },
      // Other unused images expire by age before the limit would evict them.
      spec: { match: { images: [`*/${this.#project}/*`] }, expireAfter: '30d' },
    });
    await this.#cluster.waitFor('nothing is on its way out', () => this.#isAtRest(), WAIT);
    await collectByAnnotation(this.#cluster);
    const { sizeBytes } = (await cacheOf(this.#cluster)).status;
    await this.#use('one', LAYER);
    await this.#leave('one');
    const left = await this.#becomes('one', 'is used no more', (image) => this.#leftAt(image) !== undefined);
    await this.#use('two', LAYER);
    const isLater = (): Promise<boolean> => Promise.resolve(Date.now() > (this.#leftAt(left) ?? 0) + 1_000);
    await this.#cluster.waitFor('the second is used longer', isLater, WAIT);
    await this.#leave('two');
    await this.#becomes('two', 'is used no more', (image) => this.#leftAt(image) !== undefined);
    const counted = async (): Promise<boolean> =>
      (await cacheOf(this.#cluster)).status.sizeBytes > sizeBytes + 1.5 * LAYER;
    await this.#cluster.waitFor('both are counted', counted, WAIT);
    const before = await this.#bytesOnDisk();
    const bytes = (await this.#room()) + LAYER / 2;
    await this.#use('three', bytes);
    await this.#isGone('one');
    await collectByAnnotation(this.#cluster);
    return { wonBytes: before + bytes - (await this.#bytesOnDisk()), held: await this.held() };
  }

  /** Everything that may be evicted is, and the cache still exceeds its limit. */
  async overfill(): Promise<void> {
    await this.#use('more', (await this.#room()) + LAYER + LAYER / 2);
    await this.#isGone('two');
    const isOver = async (): Promise<boolean> =>
      (await cacheOf(this.#cluster)).status.conditions.some(
        ({ type, status, reason }) =>
          type === 'WithinLimit' && status === 'False' && reason === 'NothingMayGo',
      );
    await this.#cluster.waitFor('the cache says that it holds too much', isOver, WAIT);
  }

  /** Those of the images that the cache holds completely. */
  async held(): Promise<string[]> {
    const images = await this.#list();
    const isHeld = (reference: string): boolean =>
      images.some(({ spec, status }) => spec.image === reference && isReady(status));
    return [...this.#images].filter(([, { reference }]) => isHeld(reference)).map(([name]) => name);
  }

  /** As the leading controller reports it to Prometheus, in bytes. */
  async excess(): Promise<number> {
    const leaders = (await podsOf(this.#cluster, 'controller')).map(async ({ address }) => {
      const { body } = await nodeFetch(this.#cluster.node(1), `http://${address}:8080/metrics`);
      return Number(/^larder_cache_excess_bytes\{[^}]*\} (\d+)$/m.exec(body)?.[1] ?? 0);
    });
    return Math.max(...(await Promise.all(leaders)));
  }

  /** Removes what uses the images; they then expire like all others. */
  async forget(): Promise<void> {
    const pods = [...this.#images.keys()].map((name) => `pod/full-${name}`);
    const now = ['--ignore-not-found', '--wait=false'];
    await this.#cluster.kubectl(['delete', ...pods, '--namespace', this.#namespace, ...now]);
    await this.#cluster.kubectl(['delete', 'cachepolicy', POLICY, ...now]);
  }

  async #use(name: string, bytes: number): Promise<void> {
    const layers = [Math.ceil(bytes / 512) * 512];
    const repository = `${this.#project}/${name}`;
    const what = { site: 'example', repository, tag: '1', layers, platforms: [PLATFORM] } as const;
    const image = await this.#cluster.pushImage(what);
    this.#images.set(name, image);
    await this.#cluster.apply({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: `full-${name}`, namespace: this.#namespace },
      spec: { terminationGracePeriodSeconds: 0, containers: [{ name: 'app', image: image.reference }] },
    });
    await this.#becomes(name, 'is Ready', ({ status }) => isReady(status));
  }

  async #leave(name: string): Promise<void> {
    await this.#cluster.kubectl(['delete', 'pod', `full-${name}`, '--namespace', this.#namespace]);
  }

  #leftAt({ status }: ImageView): number | undefined {
    const left = status?.expirationTime === undefined ? undefined : status.lastUsedTime;
    return left === undefined ? undefined : Date.parse(left);
  }

  async #becomes(name: string, what: string, holds: (image: ImageView) => boolean): Promise<ImageView> {
    const reference = this.#images.get(name)?.reference;
    const look = async (): Promise<ImageView | undefined> =>
      (await this.#list()).find((image) => image.spec.image === reference && holds(image));
    return await this.#cluster.waitFor(`${name} ${what}`, look, WAIT);
  }

  async #isGone(name: string): Promise<void> {
    const reference = this.#images.get(name)?.reference;
    const look = async (): Promise<boolean> =>
      !(await this.#list()).some(({ spec }) => spec.image === reference);
    await this.#cluster.waitFor(`${name} is gone`, look, WAIT);
  }

  async #isAtRest(): Promise<boolean> {
    return (await this.#list()).every(
      ({ metadata, status }) =>
        metadata.deletionTimestamp === undefined &&
        (status?.expirationTime === undefined || Date.parse(status.expirationTime) > Date.now() + 10_000),
    );
  }

  /** Up to the limit, in bytes. */
  async #room(): Promise<number> {
    const { limitBytes = 0, sizeBytes } = (await cacheOf(this.#cluster)).status;
    return limitBytes - sizeBytes;
  }

  async #bytesOnDisk(): Promise<number> {
    const [store] = await podsOf(this.#cluster, 'store');
    const machine = this.#cluster.nodes.find(({ name }) => name === store?.node);
    const data = '/var/lib/kubelet/pods/*/volumes/kubernetes.io~empty-dir/data/registry/docker';
    const { stdout } = (await machine?.exec(['sh', '-c', `du -skc ${data} | tail -n 1`])) ?? { stdout: '' };
    return Number.parseInt(stdout, 10) * 1024;
  }

  async #list(): Promise<ImageView[]> {
    return (await this.#cluster.read<{ items: ImageView[] }>(CACHED_IMAGES)).items;
  }
}

function isReady(status: ImageView['status']): boolean {
  return status?.conditions?.some(({ type, status: is }) => type === 'Ready' && is === 'True') === true;
}
