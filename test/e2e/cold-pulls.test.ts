/** Cold pulls: one upstream request per blob and manifest, however many nodes and copiers there are. */
import { HostileSite } from '../hostile/site.ts';
import type { Asked } from '../hostile/registry.ts';
import { reference, throughProxy, uncached } from '../hostile/states.ts';
import { preheat, forget } from '../larder/preheat.ts';
import { podsOf } from '../larder/parts.ts';
import { sharedCluster } from '../larder/shared-cluster.ts';

const IMAGES = 6;

describe('an image that is cold', () => {
  const cluster = sharedCluster();

  it('is fetched once, whichever replicas its nodes and the controller ask', async () => {
    expect((await podsOf(cluster, 'copier')).length).toBeGreaterThan(1);
    const hostile = await HostileSite.of(cluster);
    const images = Array.from({ length: IMAGES }, (_, n) => uncached(hostile.host(30), 'none', `cold-${n}`));
    const pulls = images.flatMap((image) => cluster.nodes.map((node) => node.pull(throughProxy(image))));
    await Promise.all([...pulls, preheat(cluster, 'cold', images.map(reference))]);
    await forget(cluster, 'cold');
    const asked = (await hostile.asked()).filter(({ path }) => path.includes('/none/cold-'));
    const fetched = countedByPath(
      asked.filter(({ method, path }) => method === 'GET' && path.includes('sha256:')),
    );
    // Index, manifest of our platform, config, two layers.
    expect(fetched.size).toBeGreaterThanOrEqual(IMAGES * 4);
    expect([...fetched].filter(([, times]) => times > 1)).toEqual([]);
  }, 90_000);

  it('costs upstream nothing of the layers that an image of another registry has', async () => {
    const hostile = await HostileSite.of(cluster);
    const first = uncached(hostile.host(31), 'none', 'based-first');
    const second = uncached(hostile.host(32), 'none', 'based-second');
    const blobsOf = async ({ repository }: typeof first): Promise<string[]> => {
      const asked = await hostile.asked();
      const blobs = asked.filter(
        ({ method, path }) => method === 'GET' && path.startsWith(`/v2/${repository}/blobs/`),
      );
      return blobs.map(({ path }) => path.slice(path.lastIndexOf('/') + 1));
    };
    await preheat(cluster, 'based', [reference(first)]);
    await cluster.node(2).pull(throughProxy(second));
    const [before, after] = [await blobsOf(first), await blobsOf(second)];
    // Config, the program's layer, and the layer that both have.
    expect([before.length, after.length]).toEqual([3, 2]);
    expect(after.filter((digest) => before.includes(digest))).toEqual([]);
    await forget(cluster, 'based');
  }, 60_000);
});

function countedByPath(asked: readonly Asked[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { path } of asked) counts.set(path, (counts.get(path) ?? 0) + 1);
  return counts;
}
