/** When the keeper of the cache lets images go, and what it writes. */
import { COLLECT_ANNOTATION } from '../../api/names.ts';
import type { StoreStatus } from '../../api/store-api.ts';
import { ManualClock } from '../../platform/clock.ts';
import { ObjectCache } from '../../platform/kube/cache.ts';
import { silentLogger } from '../../platform/log.ts';
import type { Writer } from '../cluster/fenced.ts';
import { cacheRecords, imageRecords, type CacheRecord, type ImageRecord } from '../cluster/resources.ts';
import { cachedImage, COPIED, SCOPE } from '../test-objects.ts';
import { UsageIndex } from '../cluster/usage.ts';
import { CacheKeeper } from './cache-keeper.ts';

const MIB = 2 ** 20;
const EVERY_MS = 3_000;

/** An API server for the one ImageCache. */
function apiServer(caches: ObjectCache<CacheRecord>) {
  const seen = { writes: 0, fails: false };
  let object: Record<string, unknown> = { metadata: { name: 'larder', resourceVersion: '0' } };
  const store = (changes: object): CacheRecord => {
    seen.writes += 1;
    object = { ...object, ...changes };
    object['metadata'] = { ...(object['metadata'] as object), resourceVersion: String(seen.writes) };
    const record = cacheRecords.decode(JSON.parse(JSON.stringify(object)));
    if (record === undefined) throw new Error('not an ImageCache');
    return record;
  };
  const patch = (_resource: unknown, _ref: unknown, { body }: { body: { status?: object } }) =>
    seen.fails
      ? Promise.reject(new Error('the API server is away'))
      : Promise.resolve(store(body.status === undefined ? {} : { status: body.status }));
  const annotate = (value: string): void => {
    const metadata = { name: 'larder', annotations: { [COLLECT_ANNOTATION]: value } };
    caches.apply({ type: 'upsert', object: store({ metadata }) });
  };
  return { seen, annotate, writer: { patch } as unknown as Writer };
}

function bench(limitBytes?: number) {
  const clock = new ManualClock(1_000_000);
  const [images, caches] = [new ObjectCache<ImageRecord>(), new ObjectCache<CacheRecord>()];
  const { seen, annotate, writer } = apiServer(caches);
  const evicted: string[] = [];
  const told: string[] = [];
  const store = {
    status: { volume: { usedBytes: 500 * MIB } } as unknown as StoreStatus,
    garbageBytes: 0,
    hasCollected: false,
    orders: 0,
    collectNow: () => {
      store.orders += 1;
    },
  };
  const keeper = new CacheKeeper({
    name: 'larder',
    caches,
    images,
    standingFor: () => [],
    usage: new UsageIndex(SCOPE),
    storeKeeper: store,
    ...(limitBytes === undefined ? {} : { limitBytes }),
    onEvict: (name) => evicted.push(name),
    writer,
    recordEvent: (_cache, { reason }) => {
      told.push(reason);
    },
    synced: () => Promise.resolve(),
    clock,
    log: silentLogger,
  });
  const add = (image: string, status: object): void => {
    const object = imageRecords.decode(cachedImage(image, { status: { ...COPIED, ...status } }));
    if (object !== undefined) images.apply({ type: 'upsert', object });
  };
  return { clock, keeper, seen, annotate, store, evicted, told, add };
}

const UNUSED = { expirationTime: '2026-12-21T03:00:00Z', lastUsedTime: '2026-11-21T03:00:00Z' };

it('has what former leaders removed collected before it lets any image go', async () => {
  const { clock, keeper, store, evicted, add } = bench(100 * MIB);
  add('docker.io/library/old:1', { ...UNUSED, lastUsedTime: '2026-11-20T03:00:00Z' });
  add('docker.io/library/new:1', UNUSED);
  add('docker.io/library/used:1', {});
  const running = await keeper.component().start(new AbortController().signal);
  await clock.advance(EVERY_MS);
  expect([store.orders > 0, evicted]).toEqual([true, []]);
  store.hasCollected = true;
  await clock.advance(EVERY_MS);
  expect(evicted.map((name) => name.split('-')[0])).toEqual(['old', 'new']);
  expect(keeper.isEvicted(evicted[0] ?? '')).toBe(true);
  await running.stop();
});

it('takes up a request for a collection once, and writes only what has changed', async () => {
  const { clock, keeper, store, seen, annotate, told, add } = bench();
  add('docker.io/library/used:1', {});
  const running = await keeper.component().start(new AbortController().signal);
  await clock.advance(EVERY_MS);
  const { writes } = seen;
  await clock.advance(10 * EVERY_MS);
  expect(seen.writes).toBe(writes);
  annotate('now');
  await clock.advance(3 * EVERY_MS);
  expect([store.orders, told]).toEqual([1, ['CollectionOrdered']]);
  await running.stop();
});

it('goes on weighing while the ImageCache cannot be written', async () => {
  const { clock, keeper, store, seen, evicted, add } = bench(100 * MIB);
  Object.assign(seen, { fails: true });
  store.hasCollected = true;
  const running = await keeper.component().start(new AbortController().signal);
  add('docker.io/library/one:1', UNUSED);
  add('docker.io/library/two:1', UNUSED);
  await clock.advance(2 * EVERY_MS);
  expect(evicted.length).toBeGreaterThan(0);
  await running.stop();
});
