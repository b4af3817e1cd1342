import { ManualClock } from '../../platform/clock.ts';
import { silentLogger } from '../../platform/log.ts';
import { copyRequest, DIGEST } from '../test-objects.ts';
import { JobQueue } from './job-queue.ts';
import type { JobProgress } from './job-state.ts';
import { jobKinds } from './kinds.ts';
import { type CopyRequest, type CopyResult, OrderFailed } from './orders.ts';
import { RepositoryLocks } from './repository-locks.ts';

const RESULT: CopyResult = { digest: DIGEST, sizeBytes: 1, platforms: ['linux/amd64'] };

interface Order {
  readonly request: CopyRequest;
  readonly signal: AbortSignal;
  readonly progress: (progress: JobProgress) => void;
  readonly done: (result: CopyResult) => void;
  readonly fail: (error: Error) => void;
}

/** The kind of job that copies are, with a copier whose orders the test ends by hand. */
function setUp(limits = { total: 2, perUpstream: 1 }) {
  const [orders, changes, failures, clock]: [Order[], string[], string[], ManualClock] = [
    [],
    [],
    [],
    new ManualClock(),
  ];
  const repositories = new RepositoryLocks();
  const unused = () => Promise.reject(new Error('not a copy'));
  const kinds = jobKinds({
    copier: {
      copy: (request, signal, progress) =>
        new Promise((done, fail) => {
          signal.addEventListener('abort', () => {
            fail(signal.reason as Error);
          });
          orders.push({ request, signal, progress, done, fail });
        }),
      check: unused,
      verify: unused,
    },
    removals: { perform: unused },
    repositories,
    settings: {
      maxCopies: limits.total,
      maxCopiesPerUpstream: limits.perUpstream,
      checkSpacing: 0,
      retryBase: 1_000,
      retryMax: 60_000,
    },
    metrics: {
      copied: () => undefined,
      copyFailed: (reason) => failures.push(reason),
      taskEnded: () => undefined,
    },
  });
  const onChange = (name: string): void => {
    changes.push(name);
  };
  const copies = new JobQueue(kinds.copy, { clock, log: silentLogger, onChange });
  return { copies, orders, changes, failures, clock, repositories };
}

const hosts = (orders: readonly Order[]): string[] => orders.map(({ request }) => request.reference.host);

describe('copies', () => {
  it('run at most so many at once, and at most so many from one upstream', () => {
    const { copies, orders } = setUp();
    copies.start('a1', copyRequest('a.example/x:1'), 0);
    copies.start('a2', copyRequest('a.example/x:2'), 0);
    copies.start('b1', copyRequest('b.example/x:1'), 0);
    copies.start('c1', copyRequest('c.example/x:1'), 0);
    expect(hosts(orders)).toEqual(['a.example', 'b.example']);
    expect(copies.counts()).toMatchObject({ waiting: 2, running: 2 });
    expect(copies.state('a2').phase).toBe('queued');
  });

  it('that are more urgent go first', async () => {
    const { copies, orders, clock } = setUp({ total: 1, perUpstream: 1 });
    copies.start('first', copyRequest('a.example/x:1'), 0);
    copies.start('later', copyRequest('b.example/x:1'), 0);
    copies.start('urgent', copyRequest('c.example/x:1'), 2);
    orders[0]?.done(RESULT);
    await clock.advance(0);
    expect(hosts(orders)).toEqual(['a.example', 'c.example']);
    expect(copies.state('first')).toMatchObject({ phase: 'done', result: RESULT });
  });

  it('tell their progress at most every two seconds', async () => {
    const { copies, orders, changes, clock } = setUp();
    copies.start('a', copyRequest('a.example/x:1'), 0);
    changes.length = 0;
    for (let completedBytes = 1; completedBytes <= 5; completedBytes++) {
      orders[0]?.progress({ completedBytes, totalBytes: 10 });
      await clock.advance(500);
    }
    expect(changes).toEqual(['a', 'a']);
    expect(copies.state('a')).toMatchObject({ phase: 'running', progress: { completedBytes: 5 } });
  });

  it('that fail say why, and wait longer each time', async () => {
    const { copies, orders, failures, clock } = setUp();
    const waits: number[] = [];
    for (let attempt = 0; attempt < 3; attempt++) {
      copies.start('a', copyRequest('a.example/x:1'), 0);
      orders[attempt]?.fail(new OrderFailed('too many requests', 'RateLimited'));
      await clock.advance(0);
      const state = copies.state('a');
      if (state.phase === 'failed') waits.push(state.failure.retryAt - state.failure.at);
    }
    expect(failures).toEqual(['RateLimited', 'RateLimited', 'RateLimited']);
    expect(waits[0]).toBeLessThanOrEqual(1_000);
    expect(waits[2]).toBeGreaterThanOrEqual(2_000);
    expect(copies.state('a')).toMatchObject({ failure: { failures: 3, message: 'too many requests' } });
  });

  it('wait as long as the upstream asks', async () => {
    const { copies, orders, clock } = setUp();
    copies.start('a', copyRequest('a.example/x:1'), 0);
    orders[0]?.fail(new OrderFailed('too many requests', 'RateLimited', { retryAfterSeconds: 120 }));
    await clock.advance(0);
    expect(copies.state('a')).toMatchObject({ failure: { at: 0, retryAt: 120_000 } });
  });

  it('never tell users what was not meant for them', async () => {
    const { copies, orders, clock } = setUp();
    copies.start('a', copyRequest('a.example/x:1'), 0);
    orders[0]?.fail(new TypeError('undefined is not a function'));
    await clock.advance(0);
    expect(copies.state('a')).toMatchObject({ failure: { reason: 'Internal' } });
    expect(JSON.stringify(copies.state('a'))).not.toContain('undefined is not');
  });

  it('that are canceled make room, and can be started anew', async () => {
    const { copies, orders, changes, clock } = setUp({ total: 1, perUpstream: 1 });
    copies.start('a', copyRequest('a.example/x:1'), 0);
    copies.cancel('a');
    expect(orders[0]?.signal.aborted).toBe(true);
    expect(copies.state('a')).toEqual({ phase: 'idle' });
    copies.start('a', copyRequest('a.example/x:2'), 0);
    await clock.advance(0);
    expect(orders.map(({ request }) => request.reference.tag)).toEqual(['1', '2']);
    changes.length = 0;
    orders[0]?.progress({ completedBytes: 1, totalBytes: 2 });
    expect(changes).toEqual([]);
  });

  it('that failed for trouble of our own do not wait long', async () => {
    const { copies, orders, clock } = setUp();
    for (let attempt = 0; attempt < 8; attempt++) {
      copies.start('a', copyRequest('a.example/x:1'), 0);
      orders[attempt]?.fail(new OrderFailed('it is away', 'CopierUnavailable'));
      await clock.advance(0);
    }
    const state = copies.state('a');
    const waitMs = state.phase === 'failed' ? state.failure.retryAt - state.failure.at : Infinity;
    expect(waitMs).toBeLessThanOrEqual(15_000);
  });

  it('count their failures anew when something else is ordered', async () => {
    const { copies, orders, clock } = setUp();
    for (const [attempt, pullSecrets] of [['old'], ['old'], ['new']].entries()) {
      copies.start('a', copyRequest('a.example/x:1', { pullSecrets }), 0);
      orders[attempt]?.fail(new OrderFailed('not you', 'Unauthorized'));
      await clock.advance(0);
    }
    expect(copies.state('a')).toMatchObject({ failure: { failures: 1 } });
  });

  it('wait while something is removed from their repository, and let nothing be removed meanwhile', async () => {
    const { copies, orders, clock, repositories } = setUp({ total: 2, perUpstream: 2 });
    const removal = repositories.takeForRemoval(['a.example/x']);
    copies.start('a', copyRequest('a.example/x:1'), 0);
    copies.start('b', copyRequest('a.example/y:1'), 0);
    expect(orders.map(({ request }) => request.reference.repository)).toEqual(['y']);
    removal?.();
    expect(orders.map(({ request }) => request.reference.repository)).toEqual(['y', 'x']);
    expect(repositories.takeForRemoval(['a.example/x'])).toBeUndefined();
    for (const { done } of orders) done(RESULT);
    await clock.advance(0);
    expect(repositories.takeForRemoval(['a.example/x'])).toBeDefined();
  });

  it('all end when they are stopped', async () => {
    const { copies, orders } = setUp();
    copies.start('a', copyRequest('a.example/x:1'), 0);
    copies.start('b', copyRequest('b.example/x:1'), 0);
    await copies.stop();
    expect(orders.every(({ signal }) => signal.aborted)).toBe(true);
    expect(copies.counts()).toMatchObject({ waiting: 0, running: 0 });
  });
});
