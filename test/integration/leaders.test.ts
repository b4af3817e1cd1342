/** Two replicas of the controller as processes: the leader is frozen or killed in the middle of its work. */
import { CACHED_IMAGE_FINALIZER } from '../../api/names.ts';
import { imageRecords } from '../../controller/cluster/resources.ts';
import { leases } from '../../platform/kube/resource.ts';
import { waitFor } from '../cluster/wait.ts';
import { ControllerBench, NAMES, readyBecause, RELEASE, type Replica } from '../envtest/controller.ts';

let bench: ControllerBench;
const replicas: Replica[] = [];

beforeAll(async () => {
  bench = await ControllerBench.start();
  // The certificates are there now; from here on the replicas lead.
  await bench.leader?.stop();
  for (const name of ['replica-1', 'replica-2']) replicas.push(await bench.startReplica(name));
}, 300_000);

afterAll(async () => {
  for (const replica of replicas) {
    replica.signal('SIGCONT');
    await replica.stop();
  }
  await bench.stop();
});

async function holder(): Promise<string | undefined> {
  const { items } = await bench.client.list(leases, { namespace: RELEASE });
  return items.find(({ metadata }) => metadata?.name === NAMES.leaderLease)?.spec?.holderIdentity;
}

/** The replica that leads, and the other. */
async function roles(): Promise<readonly [Replica, Replica]> {
  const leader = await waitFor('a leader', async () => (await holder()) || undefined, { deadlineMs: 30_000 });
  const index = leader === 'replica-1' ? 0 : 1;
  return [replicas[index], replicas[1 - index]] as [Replica, Replica];
}

/** The order that a copier works on until it is released; later ones pass. */
function held(): {
  readonly wait: () => Promise<void>;
  readonly reached: Promise<void>;
  release: () => void;
} {
  const [reached, released] = [Promise.withResolvers<undefined>(), Promise.withResolvers<undefined>()];
  let first = true;
  return {
    wait: async () => {
      if (!first) return;
      first = false;
      reached.resolve(undefined);
      await released.promise;
    },
    reached: reached.promise,
    release: () => {
      released.resolve(undefined);
    },
  };
}

it('a leader frozen in the middle of a deletion writes and deletes nothing when it wakes up', async () => {
  const [leader, other] = await roles();
  const images = ['docker.io/two/first:1', 'docker.io/two/second:1'];
  await Promise.all(images.map((image, n) => bench.applyImage(`image-${n}`, { image, retain: true })));
  for (const n of [0, 1]) await bench.becomes(`image-${n}`, 'cached', readyBecause('Cached'));
  const removal = held();
  bench.copier.beforeRemoval = removal.wait;
  await bench.client.delete(imageRecords, { name: 'image-0' });
  await removal.reached;
  const before = await leader.writes();
  leader.signal('SIGSTOP');
  // Its order is carried out while it sleeps: alone, it would take the finalizer off when it wakes, and
  // delete the next.
  removal.release();
  await other.logs('"reconciling"');
  await bench.isGone('image-0');
  const orders = bench.copier.removals.length;
  const second = held();
  bench.copier.beforeRemoval = second.wait;
  await bench.client.delete(imageRecords, { name: 'image-1' });
  await second.reached;
  leader.signal('SIGCONT');
  await leader.logs('no longer leading');
  expect(await leader.writes()).toBe(before);
  const { image: waiting } = await bench.client.get(imageRecords, { name: 'image-1' });
  expect(waiting.metadata.finalizers).toEqual([CACHED_IMAGE_FINALIZER]);
  expect(bench.copier.removals).toHaveLength(orders);
  second.release();
  await bench.isGone('image-1');
  expect(bench.copier.removals.slice(orders)).toEqual(['docker.io/two/second:1']);
}, 60_000);

it('a leader that dies in the middle of a copy: its successor has the image copied, once', async () => {
  const [leader, other] = await roles();
  const copy = held();
  bench.copier.beforeCopy = copy.wait;
  const image = 'docker.io/two/killed:1';
  await bench.makePod('killed', image);
  await copy.reached;
  leader.signal('SIGKILL');
  copy.release();
  await waitFor('the copy to end', () => Promise.resolve(bench.copier.stored.has(image)), {
    deadlineMs: 5_000,
  });
  await waitFor('another leader', async () => (await roles())[0] === other, { deadlineMs: 30_000 });
  const { items } = await bench.client.list(imageRecords);
  const made = items.find((item) => item.image.spec.image === image);
  await bench.becomes(made?.metadata.name ?? '', 'cached', readyBecause('Cached'));
  // What the first order brought is in the store: the successor asks it before it orders anything.
  expect(bench.copier.copies.filter((order) => order.image === image)).toHaveLength(1);
}, 60_000);
