/**
 * What many nodes pull at once is fetched from upstream once, even when the copiers are too busy to answer
 * soon.
 */
import { createHash } from 'node:crypto';
import { Crowd } from '../fakes/crowd.ts';
import { testImage, type TestImage } from '../fakes/images.ts';
import type { RecordedRequest } from '../fakes/registry.ts';

const PROXIES = 8;
const LAYER_BYTES = 300_000;

function imageCalled(name: string): TestImage {
  return testImage([`${name} 1 `, `${name} 2 `].map((text) => Buffer.alloc(LAYER_BYTES, text)));
}

/** By path. */
function fetches(requests: readonly RecordedRequest[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { method, path } of requests)
    if (method === 'GET' && path.includes('/acme/')) counts[path] = (counts[path] ?? 0) + 1;
  return counts;
}

describe('a crowd that pulls an image nobody has', () => {
  let crowd: Crowd;

  async function pull(repository: string): Promise<void> {
    const image = imageCalled(repository);
    crowd.upstream.repository(repository).add(image, '1');
    const answers = await crowd.pull(repository, [...image.blobs.keys()]);
    const blobs = [...image.blobs].map(([digest, bytes]) => [`/blobs/${digest}`, bytes] as const);
    for (const [path, bytes] of [['/manifests/1', image.root.bytes] as const, ...blobs])
      expect([...(answers.get(path) ?? [])].map(hashOf)).toEqual([
        hashOf(`200 ${Buffer.from(bytes).toString()}`),
      ]);
  }

  afterEach(async () => {
    await crowd.settled();
    await crowd.stop();
  });

  it.each([
    ['at leisure', 0, 0],
    ['whose owner is busy', 400, 0],
    ['that are all busy', 400, 400],
  ])('costs upstream one fetch with copiers %s', async (_, owners, others) => {
    crowd = await Crowd.start({ proxies: PROXIES, patienceMs: 15_000 });
    const owner = crowd.ownerOf('acme/app');
    for (const replica of crowd.replicas)
      crowd.manners.set(replica, { afterMs: replica === owner ? owners : others });
    await pull('acme/app');
    expect(Object.values(fetches(crowd.upstream.requests))).toEqual([1, 1, 1, 1]);
  });

  it('is served all the same when the owner is frozen', async () => {
    crowd = await Crowd.start({ proxies: PROXIES, patienceMs: 500 });
    crowd.manners.set(crowd.ownerOf('acme/app'), 'frozen');
    await pull('acme/app');
    await crowd.settled();
  });
});

function hashOf(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
