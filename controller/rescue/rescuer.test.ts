import { ManualClock } from '../../platform/clock.ts';
import { ObjectCache } from '../../platform/kube/cache.ts';
import { KubeError } from '../../platform/kube/error.ts';
import type { EventToRecord } from '../../platform/kube/events.ts';
import { silentLogger } from '../../platform/log.ts';
import type { Component, Running } from '../../platform/run.ts';
import type { TenantName } from '../../registry/core/cached-name.ts';
import { type CapabilityKey, makeCapability } from '../../registry/core/capability.ts';
import type { Writer } from '../cluster/fenced.ts';
import { readyProxies } from '../cluster/proxies.ts';
import { type PodRecord, podRecords } from '../cluster/resources.ts';
import { UsageIndex } from '../cluster/usage.ts';
import { SCOPE } from '../test-objects.ts';
import { Rescuer } from './rescuer.ts';

const KEY: CapabilityKey = { secret: Buffer.alloc(32, 1), signsFrom: 0 };
const CAPABILITY = makeCapability({ tenant: 'team-a', host: 'ghcr.io', repository: 'acme/app' }, KEY);
const ORIGINAL = 'ghcr.io/acme/app:7';
const VOID = 'localhost:7439/team-a.tenant/ghcr.io/acme/app:7';
const CAPABLE = `localhost:7439/team-a.tenant.${CAPABILITY}/ghcr.io/acme/app:7`;
const PATIENCE_MS = 30_000;

interface RawPod {
  readonly metadata: { uid: string; name: string; namespace: string; resourceVersion: string };
  readonly spec: { nodeName: string; containers: { name: string; image: string }[]; volumes?: object[] };
  readonly status: object;
}

const ready = { conditions: [{ type: 'Ready', status: 'True' }] };

/** A rescuer among pods of the namespace `team-a`, which asks for the cache. */
class Bench {
  readonly clock = new ManualClock();
  readonly events: EventToRecord[] = [];
  readonly patched: unknown[] = [];
  readonly logged: unknown[] = [];
  refusal: string | undefined;
  keys: readonly CapabilityKey[] = [KEY];
  readonly #pods = new ObjectCache<PodRecord>();
  readonly #raw = new Map<string, RawPod>();
  readonly #component: Component;
  #running: Running | undefined;
  #version = 1;

  constructor() {
    const usage = new UsageIndex(SCOPE);
    usage.setNamespace('team-a', true);
    const record = (_: string, fields?: object): void => void this.logged.push(fields);
    this.#component = new Rescuer({
      pods: this.#pods,
      ...readyProxies(this.#pods, 'larder'),
      standingFor: () => [],
      usage,
      writer: { patch: this.#patch } as unknown as Writer,
      events: { record: (event) => void this.events.push(event) },
      onRescue: () => undefined,
      proxyHost: 'localhost:7439',
      capabilityOf: (name: TenantName) => makeCapability(name, this.#anyKey()),
      capabilityKeys: () => this.keys,
      patienceMs: PATIENCE_MS,
      clock: this.clock,
      log: { ...silentLogger, warn: record, info: record },
    }).component(() => Promise.resolve());
  }

  async start(): Promise<void> {
    this.#running = await this.#component.start(new AbortController().signal);
  }

  async stop(): Promise<void> {
    await this.#running?.stop();
  }

  proxy(labels: object): void {
    this.#put({
      metadata: { name: 'proxy', namespace: 'larder', uid: 'p', resourceVersion: this.#nextVersion() },
      labels: { 'app.kubernetes.io/name': 'larder', 'app.kubernetes.io/component': 'proxy', ...labels },
    });
  }

  /** A pod with a pull secret that waits for its image. */
  stuck(image: string, { message = '', volume }: { message?: string; volume?: string } = {}): void {
    const mounts = volume === undefined ? {} : { volumeMounts: [{ name: 'data', mountPath: '/data' }] };
    const volumes = volume === undefined ? {} : { volumes: [{ name: 'data', image: { reference: volume } }] };
    const pod = {
      metadata: { name: 'web', namespace: 'team-a', uid: 'u', resourceVersion: this.#nextVersion() },
      spec: {
        nodeName: 'node-1',
        imagePullSecrets: [{ name: 'login' }],
        containers: [{ name: 'main', image, ...mounts }],
        ...volumes,
      },
      status: {
        phase: 'Pending',
        containerStatuses: [{ name: 'main', state: { waiting: { reason: 'ImagePullBackOff', message } } }],
      },
    };
    this.#raw.set('web', pod);
    this.#apply(pod);
  }

  get image(): string | undefined {
    return this.#raw.get('web')?.spec.containers[0]?.image;
  }

  get told(): readonly string[] {
    return this.events.map(({ reason }) => reason);
  }

  readonly #patch = (_: unknown, __: unknown, { body }: { body: { path: string; value: string }[] }) => {
    this.patched.push(body);
    if (this.refusal !== undefined)
      throw new KubeError('PATCH', { status: 403, reason: 'Forbidden', message: this.refusal });
    const before = this.#raw.get('web');
    const image = body.find(({ path }) => path === '/spec/containers/0/image')?.value;
    if (before === undefined || image === undefined) throw new Error('nothing to patch');
    const annotations = Object.fromEntries(
      body.flatMap(({ path, value }) => {
        const [, name] = /^\/metadata\/annotations\/(.+)$/.exec(path) ?? [];
        return name === undefined ? [] : [[name.replace('~1', '/'), value]];
      }),
    );
    const [container] = before.spec.containers;
    const pod = {
      ...before,
      metadata: { ...before.metadata, annotations, resourceVersion: this.#nextVersion() },
      spec: { ...before.spec, containers: [{ ...container, name: 'main', image }] },
    };
    this.#raw.set('web', pod);
    return Promise.resolve(podRecords.decode(pod));
  };

  #put({ metadata, labels }: { metadata: RawPod['metadata']; labels: object }): void {
    this.#apply({ metadata: { ...metadata, labels }, spec: { nodeName: 'node-1' }, status: ready });
  }

  #apply(raw: unknown): void {
    const object = podRecords.decode(raw);
    if (object !== undefined) this.#pods.apply({ type: 'upsert', object });
  }

  #anyKey(): CapabilityKey {
    const [key] = this.keys;
    if (key === undefined) throw new RangeError('no key');
    return key;
  }

  #nextVersion(): string {
    return String((this.#version += 1));
  }
}

const CAPABLE_PROXY = { 'larder.dev/capabilities': '1' };

let bench: Bench;
beforeEach(async () => {
  bench = new Bench();
  await bench.start();
});
afterEach(() => bench.stop());

describe('a private image whose proxy is of an older release', () => {
  it('gives way to the original at once', async () => {
    bench.proxy({});
    bench.stuck(CAPABLE);
    await bench.clock.advance(0);
    expect([bench.image, bench.told]).toEqual([ORIGINAL, ['OriginalImageRestored']]);
  });

  it('waits like any other when the proxy is of this release', async () => {
    bench.proxy(CAPABLE_PROXY);
    bench.stuck(CAPABLE);
    await bench.clock.advance(PATIENCE_MS - 1);
    expect(bench.image).toBe(CAPABLE);
  });

  it('matters to no public image', async () => {
    bench.proxy({});
    bench.stuck('localhost:7439/docker.io/library/nginx:1.27');
    await bench.clock.advance(PATIENCE_MS - 1);
    expect(bench.told).toEqual([]);
  });
});

describe('a name that the proxies refuse', () => {
  it('becomes a new one, has as much time again, and then gives way to the original', async () => {
    bench.stuck(VOID);
    bench.keys = [];
    bench.proxy(CAPABLE_PROXY);
    await bench.clock.advance(PATIENCE_MS - 1);
    bench.keys = [KEY];
    await bench.clock.advance(3_000);
    expect([bench.image, bench.told]).toEqual([CAPABLE, ['CachedNameRenewed']]);
    await bench.clock.advance(PATIENCE_MS - 3_000);
    expect(bench.image).toBe(CAPABLE);
    await bench.clock.advance(6_000);
    expect([bench.image, bench.told]).toEqual([ORIGINAL, ['CachedNameRenewed', 'OriginalImageRestored']]);
    expect(JSON.stringify([bench.events, bench.logged])).not.toContain(CAPABILITY);
  });

  it('is left alone while no key is known, and the original is still given', async () => {
    bench.keys = [];
    bench.proxy({});
    bench.stuck(VOID);
    await bench.clock.advance(0);
    expect([bench.image, bench.told]).toEqual([ORIGINAL, ['OriginalImageRestored']]);
  });

  it('gives way to the original when it can have no new one', async () => {
    const long = `ghcr.io/${'a'.repeat(210)}:7`;
    bench.proxy(CAPABLE_PROXY);
    bench.stuck(`localhost:7439/team-a.tenant/${long}`);
    await bench.clock.advance(0);
    expect([bench.image, bench.told]).toEqual([long, ['OriginalImageRestored']]);
  });
});

describe('the image of a volume whose name the proxies refuse', () => {
  const message = `Back-off pulling image "${VOID}"`;

  it('is told of once, and the container that mounts it keeps its own image', async () => {
    bench.proxy(CAPABLE_PROXY);
    bench.stuck(CAPABLE, { message, volume: VOID });
    await bench.clock.advance(3 * PATIENCE_MS);
    bench.stuck(CAPABLE, { message, volume: VOID });
    await bench.clock.advance(3 * PATIENCE_MS);
    expect(bench.patched).toEqual([]);
    expect(bench.events).toMatchObject([
      { type: 'Warning', reason: 'CachedNameVoid', regarding: { kind: 'Pod', uid: 'u' } },
    ]);
    expect(bench.events[0]?.note).toContain('Delete this Pod');
  });

  it('is not told of while the proxy is of an older release, which accepts it', async () => {
    bench.proxy({});
    bench.stuck(CAPABLE, { message, volume: VOID });
    await bench.clock.advance(PATIENCE_MS);
    expect(bench.told).toEqual([]);
  });
});

it('a refusal is repeated without capabilities', async () => {
  bench.refusal = `image ${CAPABLE} is frozen`;
  bench.stuck(CAPABLE);
  await bench.clock.advance(0);
  expect(bench.told).toEqual(['RescueRefused']);
  expect(bench.events[0]?.note).toContain(`image ${VOID} is frozen`);
  expect(JSON.stringify([bench.events, bench.logged])).not.toContain(CAPABILITY);
});
