/** The Kubernetes plumbing against a real API server. */
import { setTimeout as delay } from 'node:timers/promises';
import { silentLogger, type LogFields, type Logger } from '../../platform/log.ts';
import { DeadlineError } from '../../platform/deadline.ts';
import { cacheWatch, ObjectCache } from '../../platform/kube/cache.ts';
import { KubeClient } from '../../platform/kube/client.ts';
import { isAlreadyExists, isConflict, isNotFound } from '../../platform/kube/error.ts';
import { EventRecorder, subjectOf } from '../../platform/kube/events.ts';
import { LeaderElection, NotLeaderError } from '../../platform/kube/lease.ts';
import {
  configMaps,
  events,
  keyOf,
  leases,
  namespaces,
  pods,
  type ConfigMap,
} from '../../platform/kube/resource.ts';
import type { Running } from '../../platform/run.ts';
import { waitFor } from '../cluster/wait.ts';
import { ApiServer } from '../envtest/api-server.ts';

const NAMESPACE = 'default';

/** For what has to wait for the API server to start or for a lease to end. */
const SLOW_MS = 60_000;

/** Looks often: much of what is waited for here takes a few milliseconds. */
function eventually(what: string, condition: () => boolean | Promise<boolean>): Promise<boolean> {
  return waitFor(what, async () => condition(), { deadlineMs: 20_000, intervalMs: 20 });
}

let api: ApiServer;
let client: KubeClient;

beforeAll(async () => {
  api = await ApiServer.start();
  client = new KubeClient(api.connect(), 'larder-test');
  // The API server makes the namespace itself, a moment after it is ready.
  await eventually('the namespace', () => client.get(namespaces, { name: NAMESPACE }).then(() => true));
}, 900_000); // the programs may have to be built first

afterAll(async () => {
  await api.stop();
});

function configMap(name: string, data: Record<string, string> = {}): ConfigMap {
  return { metadata: { name, namespace: NAMESPACE }, data };
}

async function refused(call: Promise<unknown>): Promise<unknown> {
  return call.then(
    () => {
      throw new Error('it was not refused');
    },
    (error: unknown) => error,
  );
}

describe('the client', () => {
  it('creates, reads, replaces, patches and deletes', async () => {
    const ref = { namespace: NAMESPACE, name: 'crud' };
    const created = await client.create(configMaps, configMap('crud', { a: '1' }));
    expect(await client.get(configMaps, ref)).toEqual(created);

    const replaced = await client.replace(configMaps, { ...created, data: { a: '2' } });
    expect(replaced.data).toEqual({ a: '2' });
    const merged = await client.patch(configMaps, ref, { type: 'merge', body: { data: { b: '3' } } });
    expect(merged.data).toEqual({ a: '2', b: '3' });
    const body = [{ op: 'remove', path: '/data/a' }];
    expect((await client.patch(configMaps, ref, { type: 'json', body })).data).toEqual({ b: '3' });
    const applied = await client.patch(configMaps, ref, {
      type: 'apply',
      body: { metadata: { name: 'crud' }, data: { c: '4' } },
      fieldManager: 'larder-test',
    });
    expect(applied.data).toEqual({ b: '3', c: '4' });

    await client.delete(configMaps, ref);
    expect(isNotFound(await refused(client.get(configMaps, ref)))).toBe(true);
  });

  it('tells refusals apart', async () => {
    const created = await client.create(configMaps, configMap('refusals'));
    expect(isAlreadyExists(await refused(client.create(configMaps, configMap('refusals'))))).toBe(true);
    await client.replace(configMaps, { ...created, data: { a: '1' } });
    expect(isConflict(await refused(client.replace(configMaps, { ...created, data: { a: '2' } })))).toBe(
      true,
    );
    const nobody = new KubeClient(api.connect('nobody'), 'larder-test');
    const error = await refused(nobody.list(pods));
    expect(error).toMatchObject({ status: 403, reason: 'Forbidden', retryable: false });
    const uid = 'another-object';
    expect(
      await refused(client.delete(configMaps, { namespace: NAMESPACE, name: 'refusals' }, { uid })),
    ).toMatchObject({ status: 409 });
  });

  it('lists page by page, by label', async () => {
    for (let i = 0; i < 5; i++) {
      await client.create(configMaps, {
        metadata: { name: `page-${i}`, namespace: NAMESPACE, labels: { page: i < 4 ? 'yes' : 'no' } },
      });
    }
    const { items } = await client.listAll(configMaps, { labelSelector: 'page=yes', limit: 2 });
    expect(items.map((item) => item.metadata?.name)).toEqual(['page-0', 'page-1', 'page-2', 'page-3']);
    const first = await client.list(configMaps, { labelSelector: 'page=yes', limit: 2 });
    expect(first.items).toHaveLength(2);
    expect(first.continue).toBeDefined();
  });

  it('gives up on a frozen server when the deadline has passed', async () => {
    api.freeze();
    try {
      const error = await refused(client.get(namespaces, { name: NAMESPACE }, { deadlineMs: 300 }));
      expect(error).toMatchObject({ code: 'TimedOut', retryable: true });
    } finally {
      api.unfreeze();
    }
  });

  it('does not send a write that its fence stops', async () => {
    const fenced = client.fenced(() => {
      throw new NotLeaderError('test');
    });
    expect(await refused(fenced.create(configMaps, configMap('fenced')))).toBeInstanceOf(NotLeaderError);
    expect(isNotFound(await refused(fenced.get(configMaps, { namespace: NAMESPACE, name: 'fenced' })))).toBe(
      true,
    );
  });
});

describe('a cache', () => {
  const selector = { namespace: NAMESPACE, labelSelector: 'cache=yes' };
  const labelled = (name: string, data: Record<string, string>): ConfigMap => ({
    metadata: { name, namespace: NAMESPACE, labels: { cache: 'yes' } },
    data,
  });
  let cache: ObjectCache<ConfigMap>;
  let running: Running;
  let changes: string[];
  let warnings: LogFields[];

  beforeEach(async () => {
    cache = new ObjectCache();
    changes = [];
    warnings = [];
    const log: Logger = { ...silentLogger, warn: (_message, fields = {}) => warnings.push(fields) };
    cache.addIndex('owner', (object) => [object.data?.['owner'] ?? 'none']);
    cache.onChange(({ before, after }) => {
      changes.push(
        `${keyOf(after ?? before ?? {})} ${before?.data?.['owner'] ?? '-'}>${after?.data?.['owner'] ?? '-'}`,
      );
    });
    const backoff = { baseMs: 50, maxMs: 500 };
    running = await cacheWatch(client, configMaps, cache, {
      ...selector,
      backoff,
      silenceMs: 2_000,
      log,
    }).start(new AbortController().signal);
    await cache.waitSynced(AbortSignal.timeout(10_000));
  });

  afterEach(async () => {
    await running.stop();
    for (const object of (await client.listAll(configMaps, selector)).items) {
      await client.delete(configMaps, { namespace: NAMESPACE, name: object.metadata?.name ?? '' });
    }
  });

  async function caughtUp(expected: string[]): Promise<void> {
    await eventually('the cache', () => changes.length >= expected.length);
    expect(changes).toEqual(expected);
  }

  it('follows every change and keeps its indexes', async () => {
    await client.create(configMaps, labelled('one', { owner: 'a' }));
    const two = await client.create(configMaps, labelled('two', { owner: 'a' }));
    await client.replace(configMaps, { ...two, data: { owner: 'b' } });
    await client.delete(configMaps, { namespace: NAMESPACE, name: 'one' });
    await caughtUp(['default/one ->a', 'default/two ->a', 'default/two a>b', 'default/one a>-']);
    expect(cache.byIndex('owner', 'a')).toEqual([]);
    expect(cache.byIndex('owner', 'b').map(keyOf)).toEqual(['default/two']);
    expect(cache.get('two', NAMESPACE)?.data).toEqual({ owner: 'b' });
  });

  it(
    'catches up after the API server was away',
    async () => {
      await client.create(configMaps, labelled('kept', { owner: 'a' }));
      await client.create(configMaps, labelled('gone', { owner: 'a' }));
      await caughtUp(['default/kept ->a', 'default/gone ->a']);
      await api.stopApi();
      await api.startApi();
      await eventually('a write', () =>
        client.delete(configMaps, { namespace: NAMESPACE, name: 'gone' }).then(() => true),
      );
      await client.create(configMaps, labelled('new', { owner: 'c' }));
      await caughtUp(['default/kept ->a', 'default/gone ->a', 'default/gone a>-', 'default/new ->c']);
      expect(cache.size).toBe(2);
    },
    SLOW_MS,
  );

  it(
    'lists anew when its version is too old',
    async () => {
      await client.create(configMaps, labelled('before', { owner: 'a' }));
      await caughtUp(['default/before ->a']);
      // Other objects move the version on without this watch hearing of it; then their history is gone.
      await client.create(configMaps, configMap('unseen-1'));
      await client.create(configMaps, configMap('unseen-2'));
      await api.compact();
      await api.stopApi();
      await api.startApi();
      await eventually('a new list', () => warnings.some(({ relist }) => relist === true));
      await client.create(configMaps, labelled('after', { owner: 'b' }));
      await caughtUp(['default/before ->a', 'default/after ->b']);
    },
    SLOW_MS,
  );

  it(
    'notices a server that fell silent',
    async () => {
      await client.create(configMaps, labelled('first', { owner: 'a' }));
      await caughtUp(['default/first ->a']);
      api.freeze();
      await eventually('the silence to be noticed', () =>
        warnings.some(({ error }) => error instanceof DeadlineError),
      ).finally(() => {
        api.unfreeze();
      });
      await client.create(configMaps, labelled('second', { owner: 'b' }));
      await caughtUp(['default/first ->a', 'default/second ->b']);
    },
    SLOW_MS,
  );
});

describe('leader election', () => {
  const times = { leaseMs: 1_000, renewDeadlineMs: 700, retryMs: 100 };

  function candidate(name: string, identity: string) {
    const election = new LeaderElection({
      client: new KubeClient(api.connect(), 'larder-test'),
      log: silentLogger,
      namespace: NAMESPACE,
      name,
      identity,
      ...times,
    });
    const leaderships: AbortSignal[] = [];
    const start = () =>
      election
        .component((signal) => {
          leaderships.push(signal);
          return new Promise((resolve) => {
            signal.addEventListener('abort', () => {
              resolve();
            });
          });
        })
        .start(new AbortController().signal);
    return { election, leaderships, start };
  }

  it(
    'has one leader, and another at once when it is released',
    async () => {
      const [a, b] = [candidate('release', 'a'), candidate('release', 'b')];
      const runningA = await a.start();
      await eventually('a to lead', () => a.election.isLeader());
      const runningB = await b.start();
      await delay(times.leaseMs * 1.5); // nothing to wait for: b must not lead although it had every chance
      expect([a.election.isLeader(), b.election.isLeader()]).toEqual([true, false]);
      await runningA.stop();
      expect(a.election.isLeader()).toBe(false);
      expect(a.leaderships[0]?.aborted).toBe(true);
      await eventually('b to lead', () => b.election.isLeader());
      const lease = await client.get(leases, { namespace: NAMESPACE, name: 'release' });
      expect(lease.spec).toMatchObject({ holderIdentity: 'b' });
      await runningB.stop();
    },
    SLOW_MS,
  );

  it(
    'passes to another when the leader is gone without a word',
    async () => {
      const [spec, b] = [
        { holderIdentity: 'dead', leaseDurationSeconds: 1, leaseTransitions: 4 },
        candidate('dead', 'b'),
      ];
      await client.create(leases, { metadata: { namespace: NAMESPACE, name: 'dead' }, spec });
      const running = await b.start();
      await eventually('b to lead', () => b.election.isLeader());
      const lease = await client.get(leases, { namespace: NAMESPACE, name: 'dead' });
      expect(lease.spec).toMatchObject({ holderIdentity: 'b', leaseTransitions: 5 });
      await running.stop();
    },
    SLOW_MS,
  );

  it(
    'ends in time when the API server does not answer, and goes on when it does again',
    async () => {
      const a = candidate('outage', 'a');
      const running = await a.start();
      await eventually('a to lead', () => a.election.isLeader());
      api.freeze();
      try {
        await eventually('a to give up', () => !a.election.isLeader());
        expect(() => {
          a.election.assertLeader();
        }).toThrow(NotLeaderError);
        await eventually('the leadership to end', () => a.leaderships[0]?.aborted === true);
      } finally {
        api.unfreeze();
      }
      await eventually('a to lead again', () => a.election.isLeader());
      expect(a.leaderships).toHaveLength(2);
      await running.stop();
    },
    SLOW_MS,
  );
});

describe('an event recorder', () => {
  it('stores a repeated event once, as a series', async () => {
    const recorder = new EventRecorder({
      client,
      log: silentLogger,
      controller: 'larder.dev/test',
      instance: 'test-0',
    });
    const namespace = await client.get(namespaces, { name: NAMESPACE });
    const event = {
      regarding: subjectOf(namespaces, namespace),
      type: 'Warning' as const,
      reason: 'UpstreamUnavailable',
      action: 'Check',
      note: 'é'.repeat(1_000),
    };
    for (let i = 0; i < 3; i++) recorder.record(event);
    await recorder.flush();
    const { items } = await client.listAll(events, { namespace: 'default' });
    const ours = items.filter((item) => item.reportingController === 'larder.dev/test');
    expect(ours).toHaveLength(1);
    expect(ours[0]).toMatchObject({ reason: 'UpstreamUnavailable', type: 'Warning', series: { count: 3 } });
    expect(Buffer.byteLength(ours[0]?.note ?? '')).toBeLessThanOrEqual(1_024);
  });
});
