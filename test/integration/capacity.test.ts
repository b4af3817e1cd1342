/** A cache with a limit, on a real API server: what goes, what stays, and how it is told. */
import type { CachedImage } from '../../api/cached-image.ts';
import { cachedImageName, COLLECT_ANNOTATION } from '../../api/names.ts';
import { cacheRecords, imageRecords, type CacheRecord } from '../../controller/cluster/resources.ts';
import { findCondition } from '../../platform/kube/conditions.ts';
import { events } from '../../platform/kube/resource.ts';
import { parseReference } from '../../registry/core/reference.ts';
import { waitFor } from '../cluster/wait.ts';
import { ControllerBench, readyBecause } from '../envtest/controller.ts';

/** The fake copier's images take 70 MiB each: two fit. */
let bench: ControllerBench;

beforeAll(async () => {
  bench = await ControllerBench.start({ LARDER_MAX_SIZE: '150Mi' });
}, 300_000);

afterAll(() => bench.stop());

const isCached = readyBecause('Cached');
const nameOf = (image: string): string => cachedImageName(parseReference(image));

async function cacheBecomes(what: string, holds: (cache: CacheRecord) => boolean): Promise<CacheRecord> {
  return waitFor(
    `the ImageCache to be ${what}`,
    async () => {
      const { items } = await bench.client.list(cacheRecords);
      return items.find((item) => item.metadata.name === 'larder' && holds(item));
    },
    { deadlineMs: 15_000 },
  );
}

const conditionOf = ({ status }: CacheRecord, type: string): string | undefined =>
  findCondition(status.conditions, type)?.reason;

async function isTold(subject: string, reason: string): Promise<void> {
  await waitFor(
    `an Event ${reason} about ${subject}`,
    async () => {
      const { items } = await bench.client.list(events, { namespace: 'default' });
      return items.some((event) => event.regarding?.name === subject && event.reason === reason);
    },
    { deadlineMs: 10_000 },
  );
}

async function unused(pod: string, image: string): Promise<CachedImage> {
  await bench.makePod(pod, image);
  await bench.becomes(nameOf(image), 'cached', isCached);
  await bench.removePod(pod);
  return bench.becomes(nameOf(image), 'unused', ({ status }) => status?.expirationTime !== undefined);
}

it('lets go what was used longest ago and nobody needs, and no more than that', async () => {
  const [first, second, used] = [
    'docker.io/full/first:1',
    'docker.io/full/second:1',
    'docker.io/full/used:1',
  ];
  await bench.makePod('used', used);
  await bench.becomes(nameOf(used), 'cached', isCached);
  await unused('first', first);
  await unused('second', second);
  await bench.isGone(nameOf(first));
  await isTold(nameOf(first), 'Evicted');
  expect(bench.copier.removals).toEqual([first]);
  const cache = await cacheBecomes('within its limit', (one) => one.status.images === 2);
  expect(conditionOf(cache, 'WithinLimit')).toBe('Fits');
  expect(cache.status).toMatchObject({ imagesInUse: 1, size: '140 MiB', limit: '150 MiB' });
  expect(conditionOf(cache, 'Complete')).toBe('Cached');
}, 30_000);

it('lets nothing go when all that is left is needed, and says so', async () => {
  await bench.applyImage('kept', { image: 'docker.io/full/kept:1', retain: true });
  await bench.becomes('kept', 'cached', isCached);
  await bench.isGone(nameOf('docker.io/full/second:1'));
  await bench.makePod('more', 'docker.io/full/more:1');
  const cache = await cacheBecomes(
    'over its limit',
    (one) => conditionOf(one, 'WithinLimit') === 'NothingMayGo',
  );
  expect(findCondition(cache.status.conditions, 'WithinLimit')?.message).toContain(
    '60 MiB more than its limit',
  );
  await isTold('larder', 'OverLimit');
  const { items } = await bench.client.list(imageRecords);
  expect(items.map(({ image }) => image.spec.image).sort()).toEqual([
    'docker.io/full/kept:1',
    'docker.io/full/more:1',
    'docker.io/full/used:1',
  ]);
}, 30_000);

it('takes a request for a collection from the annotation, once', async () => {
  const annotate = (value: string): Promise<unknown> => {
    const body = { metadata: { annotations: { [COLLECT_ANNOTATION]: value } } };
    return bench.client.patch(cacheRecords, { name: 'larder' }, { type: 'merge', body });
  };
  await annotate('now');
  await cacheBecomes('asked', ({ status }) => status.collectRequest === 'now');
  // Here the store is none of the release's own.
  await isTold('larder', 'CollectionRefused');
}, 30_000);
