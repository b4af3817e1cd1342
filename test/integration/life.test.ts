/** The life of a cached image, on a real API server, with timers short enough to wait for. */
import type { CachedImage } from '../../api/cached-image.ts';
import { CACHED_IMAGE_FINALIZER, cachedImageName } from '../../api/names.ts';
import { releaseFinalizers } from '../../controller/uninstall/release-finalizers.ts';
import { imageRecords } from '../../controller/cluster/resources.ts';
import { systemClock } from '../../platform/clock.ts';
import { events, leases } from '../../platform/kube/resource.ts';
import { silentLogger } from '../../platform/log.ts';
import { findCondition } from '../../platform/kube/conditions.ts';
import { parseReference } from '../../registry/core/reference.ts';
import { waitFor } from '../cluster/wait.ts';
import { ControllerBench, NAMES, readyBecause, RELEASE } from '../envtest/controller.ts';
import { FAKE_DIGEST } from '../fakes/copier.ts';

const OTHER_DIGEST = `sha256:${'b'.repeat(64)}`;
const DEADLINE = { deadlineMs: 10_000 };

let bench: ControllerBench;

beforeAll(async () => {
  bench = await ControllerBench.start({
    LARDER_EXPIRE_AFTER: '3s',
    LARDER_DROP_AFTER: '1s',
    LARDER_REFRESH_EVERY: '1s',
    LARDER_CHECK_SPACING: '0',
    LARDER_VERIFY_EVERY: '1s',
    LARDER_KEEP_PREVIOUS: '1s',
  });
}, 300_000);

afterAll(() => bench.stop());

const nameOf = (image: string, tenant?: string): string => cachedImageName(parseReference(image), tenant);
const isCached = readyBecause('Cached');
const servesDigest =
  (digest: string) =>
  ({ status }: CachedImage): boolean =>
    status?.digest === digest;

function upstreamReason({ status }: CachedImage): string | undefined {
  return findCondition(status?.conditions, 'UpstreamAvailable')?.reason;
}

async function uidOf(name: string): Promise<string | undefined> {
  return (await bench.client.get(imageRecords, { name })).image.metadata.uid;
}

describe('Keep', () => {
  it('an image that nobody has used for long expires, and its tag goes from the store', async () => {
    const image = 'docker.io/life/expires:1';
    await bench.makePod('expires', image);
    await bench.becomes(nameOf(image), 'cached', isCached);
    await bench.removePod('expires');
    const unused = await bench.becomes(nameOf(image), 'unused', ({ status }) => !!status?.expirationTime);
    expect(unused.metadata.finalizers).toEqual([CACHED_IMAGE_FINALIZER]);
    await bench.isGone(nameOf(image));
    expect(bench.copier.removals).toContain(image);
  });

  it('an image that is used again does not', async () => {
    const image = 'docker.io/life/again:1';
    await bench.makePod('again-1', image);
    await bench.becomes(nameOf(image), 'cached', isCached);
    const uid = await uidOf(nameOf(image));
    await bench.removePod('again-1');
    await bench.becomes(nameOf(image), 'unused', ({ status }) => status?.expirationTime !== undefined);
    await bench.makePod('again-2', image);
    await bench.becomes(nameOf(image), 'kept', ({ status }) => status?.expirationTime === undefined);
    expect(await uidOf(nameOf(image))).toBe(uid);
  });

  it('a retained image and one that upstream has lost do not, when one that was made after them has', async () => {
    const [retained, lost, marker] = [
      'docker.io/life/retained:1',
      'docker.io/life/lost:1',
      'docker.io/life/marker:1',
    ];
    await bench.applyImage('retained', { image: retained, retain: true });
    await bench.applyImage('lost', { image: lost });
    await bench.becomes('lost', 'cached', isCached);
    bench.copier.upstream.set(lost, undefined);
    await bench.becomes('lost', 'known to be lost', (image) => upstreamReason(image) === 'NotFound');
    await bench.applyImage('marker', { image: marker });
    await bench.becomes('marker', 'cached', isCached);
    await bench.isGone('marker');
    for (const name of ['retained', 'lost']) await bench.becomes(name, 'still there', isCached);
  });

  it('an image whose copy never succeeded goes soon after its last pod', async () => {
    const image = 'docker.io/life/never:1';
    bench.copier.failures.set(image, {
      type: 'failed',
      reason: 'NotFound',
      message: 'there is no such image',
    });
    await bench.makePod('never', image);
    await bench.becomes(nameOf(image), 'refused', readyBecause('NotFound'));
    await bench.removePod('never');
    await bench.isGone(nameOf(image));
  });
});

describe('Refresh and Watch upstream', () => {
  it('a tag that moves is copied, and what it named before stays while a pod runs it', async () => {
    const image = 'docker.io/life/moves:1';
    const previous = `docker.io/life/moves@${FAKE_DIGEST}`;
    await bench.makePod('moves', image);
    await bench.becomes(nameOf(image), 'cached', isCached);
    await bench.runPod('moves', `localhost:7439/docker.io/life/moves@${FAKE_DIGEST}`);
    bench.copier.upstream.set(image, OTHER_DIGEST);
    const moved = await bench.becomes(nameOf(image), 'moved', servesDigest(OTHER_DIGEST));
    expect(moved.status?.previousDigests).toMatchObject([{ digest: FAKE_DIGEST }]);
    expect(isCached(moved)).toBe(true);
    const checks = bench.copier.checks.length;
    await waitFor('later checks', () => Promise.resolve(bench.copier.checks.length > checks + 8), DEADLINE);
    expect(bench.copier.removals).not.toContain(previous);
    await bench.runPod('moves', `localhost:7439/docker.io/life/moves@${OTHER_DIGEST}`);
    await bench.becomes(nameOf(image), 'rid of it', ({ status }) => status?.previousDigests === undefined);
    expect(bench.copier.removals).toContain(previous);
  });

  it('an image in use whose upstream loses it stays Ready, says so, and its user is warned', async () => {
    const image = 'docker.io/life/vanishes:1';
    await bench.makePod('vanishes', image);
    await bench.becomes(nameOf(image), 'cached', isCached);
    bench.copier.upstream.set(image, undefined);
    const lost = await bench.becomes(nameOf(image), 'lost', (found) => upstreamReason(found) === 'NotFound');
    expect(isCached(lost)).toBe(true);
    await waitFor(
      'an Event about it',
      async () => {
        const { items } = await bench.client.list(events, { namespace: 'default' });
        return items.some(({ regarding, reason, type }) => {
          return regarding?.name === nameOf(image) && reason === 'UpstreamNotFound' && type === 'Warning';
        });
      },
      DEADLINE,
    );
  });
});

describe('Delete safely', () => {
  it('one that pods use comes back, without a copy, though its upstream has lost it', async () => {
    const image = 'docker.io/life/vanishes:1';
    const [uid, copies] = [await uidOf(nameOf(image)), bench.copier.copies.length];
    await bench.client.delete(imageRecords, { name: nameOf(image) });
    await bench.becomes(nameOf(image), 'back', (found) => found.metadata.uid !== uid && isCached(found));
    expect(bench.copier.copies.slice(copies).filter((copy) => copy.image === image)).toEqual([]);
    expect(bench.copier.removals).not.toContain(image);
  });

  it('one of two that stand for the same image leaves the other what it needs', async () => {
    const image = 'docker.io/life/twice:1';
    await bench.applyImage('twice', { image, retain: true });
    await bench.applyImage('twice-too', { image, retain: true });
    for (const name of ['twice', 'twice-too']) await bench.becomes(name, 'cached', isCached);
    await bench.client.delete(imageRecords, { name: 'twice' });
    await bench.isGone('twice');
    expect(bench.copier.removals).not.toContain(image);
    await bench.client.delete(imageRecords, { name: 'twice-too' });
    await bench.isGone('twice-too');
    expect(bench.copier.removals).toContain(image);
  });
});

describe('Verify', () => {
  it('a wiped store is noticed and refilled', async () => {
    const image = 'docker.io/life/wiped:1';
    await bench.makePod('wiped', image);
    await bench.becomes(nameOf(image), 'cached', isCached);
    const copies = bench.copier.copies.length;
    bench.copier.stored.clear();
    await waitFor(
      'everything in use to be stored again',
      () =>
        Promise.resolve(bench.copier.stored.has(image) && bench.copier.stored.has('docker.io/life/again:1')),
      DEADLINE,
    );
    expect(bench.copier.copies.length).toBeGreaterThan(copies);
    await bench.becomes(nameOf(image), 'cached', isCached);
  });
});

describe('Two replicas', () => {
  it('a leader that lost its lease in the middle of a deletion neither orders nor writes any more', async () => {
    const image = 'docker.io/life/fenced:1';
    await bench.applyImage('fenced', { image, retain: true });
    await bench.becomes('fenced', 'cached', isCached);
    const [reached, release] = [Promise.withResolvers<undefined>(), Promise.withResolvers<undefined>()];
    bench.copier.beforeRemoval = async () => {
      reached.resolve(undefined);
      await release.promise;
    };
    await bench.client.delete(imageRecords, { name: 'fenced' });
    await reached.promise;
    const frozen = bench.leader;
    if (frozen !== undefined) frozen.fence.lost = true;
    release.resolve(undefined);
    await waitFor('the removal', () => Promise.resolve(bench.copier.removals.includes(image)), DEADLINE);
    await bench.makePod('marker', 'docker.io/life/after:1');
    const orders = bench.copier.copies.length;
    bench.copier.beforeRemoval = () => Promise.resolve();
    // Alone, it would take the finalizer away and order a copy of what the new pod uses.
    const { image: left } = await bench.client.get(imageRecords, { name: 'fenced' });
    expect(left.metadata.finalizers).toEqual([CACHED_IMAGE_FINALIZER]);
    bench.lead();
    await bench.isGone('fenced');
    await bench.becomes(nameOf('docker.io/life/after:1'), 'cached', isCached);
    expect(bench.copier.copies.slice(orders).filter((copy) => copy.image.includes('/after:'))).toHaveLength(
      1,
    );
  });
});

describe('Uninstall', () => {
  it('does not hang on finalizers: nobody leads any more, and every image can be deleted', async () => {
    const lease = { namespace: RELEASE, name: NAMES.leaderLease };
    await bench.client.create(leases, {
      metadata: lease,
      spec: { holderIdentity: 'a-leader', leaseDurationSeconds: 8 },
    });
    const image = 'docker.io/life/still-used:1';
    // The leader has not heard yet that the lease was taken from it.
    const sleep = async (ms: number): Promise<void> => {
      expect(ms).toBe(8_000);
      await bench.makePod('still-used', image);
      await bench.becomes(nameOf(image), 'cached', isCached);
      await bench.leader?.stop();
    };
    const { signal } = new AbortController();
    const clock = { ...systemClock, sleep };
    const options = { client: bench.client, lease, identity: 'test', clock, log: silentLogger, signal };
    expect(await releaseFinalizers(options)).toBeGreaterThan(0);
    // Long enough for helm to remove the controllers, short enough for who installs again at once.
    expect((await bench.client.get(leases, lease)).spec).toMatchObject({
      holderIdentity: 'test-uninstall',
      leaseDurationSeconds: 15,
    });
    const { items } = await bench.client.list(imageRecords);
    expect(items.length).toBeGreaterThan(0);
    for (const { metadata } of items) await bench.client.delete(imageRecords, { name: metadata.name ?? '' });
    expect((await bench.client.list(imageRecords)).items).toEqual([]);
  });
});
