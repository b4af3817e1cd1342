/**
 * The story that Larder exists for: pods start on a node that never had their image while their registry is
 * black-holed. Each step throws when what it says is not true, and gives the evidence when it is. Demo and
 * tests tell the same one.
 */
import { createHash } from 'node:crypto';
import type { Cluster, PushedImage } from '../cluster/cluster.ts';
import type { ClusterNode } from '../cluster/cluster-node.ts';
import { parseAccessLog } from '../cluster/access-log.ts';
import { CACHED_IMAGES } from '../larder/preheat.ts';
import { NAMESPACE } from '../larder/install.ts';
import { proxyFetch } from '../larder/proxy-fetch.ts';
import {
  type CachedImageView,
  CONTROL,
  deployment,
  isRunning,
  namespace,
  pod,
  type PodView,
  SHOP,
} from './objects.ts';

export interface Step {
  readonly title: string;
  /** @throws {Error} when the title is not true. */
  readonly run: () => Promise<readonly string[]>;
}

const MEBIBYTE = 1024 * 1024;
const START_DEADLINE = { deadlineMs: 60_000 };
/** A node gives up connecting after 10 s, and the kubelet may pull more than once before it backs off. */
const CONTROL_DEADLINE = { deadlineMs: 120_000 };

export class Story {
  readonly #cluster: Cluster;
  #web: PushedImage | undefined;
  #worker: PushedImage | undefined;
  #outageBegan = new Date(0);
  readonly startSeconds: Record<string, number> = {};

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
  }

  readonly steps: readonly Step[] = [
    {
      title: 'in a labelled namespace a Deployment (by tag, Always) and a Pod (by digest) start on node 1',
      run: () => this.#startOnFirstNode(),
    },
    {
      title: 'their images were rewritten at admission, and the originals are on record',
      run: () => this.#imagesAreRewritten(),
    },
    { title: 'kubectl get cachedimages shows both becoming Ready', run: () => this.#imagesBecomeReady() },
    {
      title: 'the upstreams are black-holed: packets are dropped, not refused',
      run: () => this.#blackHole(),
    },
    { title: 'the same images start on node 2, which never had them', run: () => this.#startOnSecondNode() },
    {
      title: "the store's access log shows that it served node 2, byte for byte as upstream had it",
      run: () => this.#storeServed(),
    },
    {
      title: 'the control: the same pod without Larder ends in ImagePullBackOff',
      run: () => this.#controlFails(),
    },
  ];

  /** Gives the upstreams back. */
  async restore(): Promise<void> {
    for (const name of ['example', 'plain']) await this.#cluster.internet.site(name).link.restore();
  }

  async #startOnFirstNode(): Promise<string[]> {
    const cluster = this.#cluster;
    const layers = [8 * MEBIBYTE, 4 * MEBIBYTE];
    this.#web = await cluster.pushImage({ site: 'example', repository: 'shop/web', tag: '1.0', layers });
    this.#worker = await cluster.pushImage({ site: 'plain', repository: 'shop/worker', tag: '2.3', layers });
    await cluster.apply([namespace(SHOP, { 'larder.dev/cache': 'enabled' }), namespace(CONTROL)]);
    const node = cluster.node(1).name;
    return await this.#startBoth(node, 'node-1');
  }

  async #startOnSecondNode(): Promise<string[]> {
    const node = secondNode(this.#cluster);
    const had = (await node.images()).flatMap(({ repo_tags = [], repo_digests = [] }) => [
      ...repo_tags,
      ...repo_digests,
    ]);
    const already = had.filter((name) => name.includes('shop/'));
    if (already.length > 0)
      throw new Error(`node 2 has ${already.join(', ')} already: nothing would be proved`);
    return await this.#startBoth(node.name, 'node-2');
  }

  /** Starts the Deployment and the Pod on a node. Returns how long each took from creation to running. */
  async #startBoth(node: string, suffix: string): Promise<string[]> {
    const { web, worker } = this.#pushed();
    const byDigest = `${worker.repository}@${worker.digest}`;
    const timed = async (name: string, image: string, object: object): Promise<string> => {
      const started = performance.now();
      await this.#cluster.apply(object);
      await this.#running(name);
      const seconds = (performance.now() - started) / 1000;
      this.startSeconds[name] = seconds;
      return `${name.padEnd(14)} running on ${node} after ${seconds.toFixed(1)} s   ${image}`;
    };
    return await Promise.all([
      timed(`web-${suffix}`, web.reference, deployment(`web-${suffix}`, node, web.reference)),
      timed(`worker-${suffix}`, byDigest, pod(`worker-${suffix}`, { namespace: SHOP, node }, byDigest)),
    ]);
  }

  async #running(app: string): Promise<void> {
    await this.#cluster.waitFor(
      `${app} runs`,
      async () => (await this.#pods(app)).some(isRunning),
      START_DEADLINE,
    );
  }

  async #pods(app: string): Promise<readonly PodView[]> {
    const where = { namespace: SHOP, selector: `app=${app}` };
    return (await this.#cluster.read<{ items: PodView[] }>('v1/pods', where)).items;
  }

  async #imagesAreRewritten(): Promise<string[]> {
    const { web, worker } = this.#pushed();
    const expected = [
      { app: 'web-node-1', original: web.reference },
      { app: 'worker-node-1', original: `${worker.repository}@${worker.digest}` },
    ];
    return await Promise.all(
      expected.map(async ({ app, original }) => {
        const [found] = await this.#pods(app);
        const image = found?.spec.containers[0]?.image ?? 'no image';
        const annotation = found?.metadata.annotations?.['larder.dev/original-images'] ?? '{}';
        const recorded = (JSON.parse(annotation) as Record<string, string>)['app'];
        const rewritten = `localhost:7439/${original.replace(/:(\d+)\//, '-$1/')}`;
        if (image !== rewritten) throw new Error(`the image of ${app} is ${image}, not ${rewritten}`);
        if (recorded !== original) throw new Error(`the annotation of ${app} is ${annotation}`);
        if (found?.metadata.labels?.['larder.dev/rewritten'] !== 'true')
          throw new Error(`${app} has no label`);
        return `${app}: ${original}\n  → ${image}`;
      }),
    );
  }

  async #imagesBecomeReady(): Promise<string[]> {
    const { web, worker } = this.#pushed();
    const wanted = new Map([web, worker].map(({ repository, digest }) => [repository, digest]));
    await this.#cluster.waitFor(
      'both CachedImages are Ready',
      async () => {
        const { items } = await this.#cluster.read<{ items: CachedImageView[] }>(CACHED_IMAGES);
        const ready = items.filter(({ spec, status }) => {
          const digest = [...wanted].find(([repository]) => spec.image.startsWith(repository))?.[1];
          return digest !== undefined && status?.digest === digest && hasCondition(status, 'Ready');
        });
        return ready.length === wanted.size;
      },
      START_DEADLINE,
    );
    return (await this.#cluster.kubectl(['get', 'cachedimages'])).stdout.trimEnd().split('\n');
  }

  async #blackHole(): Promise<string[]> {
    const cluster = this.#cluster;
    for (const name of ['example', 'plain']) await cluster.internet.site(name).link.blackHole();
    this.#outageBegan = new Date();
    // The control takes longest, because the runtime waits for its own deadlines: it starts now, judged last.
    const where = { namespace: CONTROL, node: secondNode(cluster).name };
    await cluster.apply(pod('control', where, this.#pushed().web.reference));
    return await Promise.all(
      ['example', 'plain'].map(async (name) => {
        const { record, registry } = cluster.internet.site(name);
        const outcome = await knock(secondNode(cluster), record.address, record.port);
        if (outcome !== 'no answer') throw new Error(`${registry} is not black-holed: ${outcome}`);
        return `${registry}: a connection from node 2 gets no answer within 2 s`;
      }),
    );
  }

  async #storeServed(): Promise<string[]> {
    const { web, worker } = this.#pushed();
    const reader = [
      'logs',
      '--namespace',
      NAMESPACE,
      '--selector',
      'app.kubernetes.io/component=store',
      '--tail=-1',
    ];
    const since = [`--since-time=${this.#outageBegan.toISOString()}`];
    const log = parseAccessLog((await this.#cluster.kubectl([...reader, ...since])).stdout);
    const lines: string[] = [];
    for (const image of [web, worker]) {
      const path = cachedPath(image);
      const served = log.filter((entry) => entry.path.startsWith(`${path}/`) && entry.method === 'GET');
      const blobs = served.filter((entry) => entry.path.includes('/blobs/') && entry.status < 300);
      if (blobs.length === 0)
        throw new Error(`the store served no blob of ${image.repository} in the outage`);
      const bytes = blobs.reduce((sum, entry) => sum + entry.bytes, 0);
      lines.push(
        `store served ${blobs.length} blobs, ${(bytes / MEBIBYTE).toFixed(1)} MiB of ${path.slice(4)}`,
      );
      lines.push(await this.#isByteExact(image));
    }
    for (const name of ['example', 'plain']) {
      const asked = this.#cluster.internet
        .site(name)
        .accessLog()
        .filter(({ time }) => time > this.#outageBegan);
      if (asked.length > 0) throw new Error(`${name} was reached in its outage: ${JSON.stringify(asked[0])}`);
    }
    lines.push('the upstreams logged no request since');
    return lines;
  }

  async #isByteExact(image: PushedImage): Promise<string> {
    const platform = image.platforms[process.arch === 'arm64' ? 'linux/arm64' : 'linux/amd64'];
    if (!platform) throw new Error('the image was not made for this machine');
    for (const digest of [image.digest, platform.digest]) {
      const { status, body } = await proxyFetch(
        secondNode(this.#cluster),
        `${cachedPath(image)}/manifests/${digest}`,
      );
      const actual = `sha256:${createHash('sha256').update(body).digest('hex')}`;
      if (status !== 200 || actual !== digest) {
        throw new Error(`${digest} of upstream came as ${actual} (${status}) from the cache`);
      }
    }
    return `index ${image.digest.slice(0, 19)}… and manifest ${platform.digest.slice(0, 19)}… hash as upstream's`;
  }

  async #controlFails(): Promise<string[]> {
    const reason = await this.#cluster.waitFor(
      'the control pod is in ImagePullBackOff',
      async () => {
        const where = { namespace: CONTROL, name: 'control' };
        const found = await this.#cluster.read<PodView>('v1/pods', where);
        const waiting = found.status.containerStatuses?.[0]?.state.waiting?.reason;
        return waiting === 'ImagePullBackOff' && waiting;
      },
      CONTROL_DEADLINE,
    );
    return [
      `control        ${reason} on ${secondNode(this.#cluster).name}   ${this.#pushed().web.reference}`,
    ];
  }

  #pushed(): { web: PushedImage; worker: PushedImage } {
    const web = this.#web;
    const worker = this.#worker;
    if (!web || !worker) throw new Error('the story begins with its first step');
    return { web, worker };
  }
}

function secondNode(cluster: Cluster): ClusterNode {
  return cluster.node(2);
}

function hasCondition(status: NonNullable<CachedImageView['status']>, type: string): boolean {
  return (
    status.conditions?.some((condition) => condition.type === type && condition.status === 'True') ?? false
  );
}

/** Path of the image's repository in proxy and store. */
function cachedPath({ repository }: PushedImage): string {
  return `/v2/${repository.replace(/:(\d+)\//, '-$1/')}`;
}

/** What a TCP connection from a node meets within two seconds. */
async function knock(node: ClusterNode, address: string, port: number): Promise<string> {
  const script = `
    const socket = require('node:net').connect({ host: '${address}', port: ${port} });
    const say = (text) => { console.log(text); process.exit(0); };
    socket.on('connect', () => say('connected')).on('error', (error) => say(error.code));
    setTimeout(() => say('no answer'), 2000);`;
  return (await node.exec([process.execPath, '-e', script])).stdout.trim();
}
