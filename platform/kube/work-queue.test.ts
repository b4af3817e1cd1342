import fc from 'fast-check';
import { ManualClock } from '../clock.ts';
import { silentLogger } from '../log.ts';
import { type Worker, WorkQueue, type WorkQueueOptions } from './work-queue.ts';

/** A queue whose keys are worked on only as long as the test says. */
function queueOf({ worker, ...options }: Partial<WorkQueueOptions> & { readonly worker?: Worker } = {}) {
  const clock = new ManualClock();
  const started: string[] = [];
  const ends = new Map<string, PromiseWithResolvers<undefined>>();
  const stop = new AbortController();
  const queue = new WorkQueue({
    name: 'test',
    log: silentLogger,
    concurrency: 1,
    clock,
    random: () => 1,
    backoff: { baseMs: 100, maxMs: 1_000 },
    ...options,
  });
  const byHand: Worker = (key) => {
    started.push(key);
    const end = Promise.withResolvers<undefined>();
    ends.set(key, end);
    return end.promise;
  };
  const finish = async (key: string, error?: Error): Promise<void> => {
    if (error) ends.get(key)?.reject(error);
    else ends.get(key)?.resolve(undefined);
    await clock.advance(0);
  };
  return { queue, clock, started, finish, stop, run: () => queue.run(worker ?? byHand, stop.signal) };
}

describe('a work queue', () => {
  it('works on a key once however often it was added', async () => {
    const { queue, clock, started, run, finish } = queueOf();
    for (let i = 0; i < 3; i++) queue.add('a');
    void run();
    await clock.advance(0);
    await finish('a');
    await clock.advance(10_000);
    expect(started).toEqual(['a']);
  });

  it('works again on a key that was added meanwhile, but not at the same time', async () => {
    const { queue, clock, started, run, finish } = queueOf({ concurrency: 5 });
    queue.add('a');
    void run();
    await clock.advance(0);
    queue.add('a');
    await clock.advance(1_000);
    expect(started).toEqual(['a']);
    await finish('a');
    expect(started).toEqual(['a', 'a']);
  });

  it('keeps the place of a key that is added again, unless it becomes more urgent', async () => {
    const { queue, clock, started, run, finish } = queueOf();
    for (const key of ['a', 'b', 'c', 'd', 'b', 'c']) queue.add(key);
    queue.add('d', { priority: 1 });
    queue.add('d', { afterMs: 1_000 });
    void run();
    await clock.advance(0);
    for (const key of ['d', 'a', 'b', 'c']) await finish(key);
    expect(started).toEqual(['d', 'a', 'b', 'c']);
    expect(queue.depth).toBe(0);
  });

  it('takes urgent keys first and otherwise keeps their order', async () => {
    const { queue, clock, started, run, finish } = queueOf();
    queue.add('a');
    queue.add('b');
    queue.add('c', { priority: 10 });
    queue.add('b', { priority: 1 });
    queue.add('b', { priority: -5 });
    void run();
    for (const key of ['c', 'b', 'a']) {
      await clock.advance(0);
      await finish(key);
    }
    expect(started).toEqual(['c', 'b', 'a']);
  });

  it('waits as long as it is told, the shortest time winning', async () => {
    const { queue, clock, started, run } = queueOf();
    queue.add('a', { afterMs: 5_000 });
    queue.add('a', { afterMs: 1_000 });
    queue.add('a', { afterMs: 9_000 });
    void run();
    await clock.advance(999);
    expect([started, queue.depth, queue.oldestWaitMs]).toEqual([[], 1, 0]);
    await clock.advance(1);
    expect(started).toEqual(['a']);
  });

  it('tries a failed key again later and later, until it succeeds', async () => {
    const { queue, clock, started, run, finish } = queueOf();
    queue.add('a');
    void run();
    await clock.advance(0);
    for (const waitMs of [100, 200, 400]) {
      const before = started.length;
      await finish('a', new Error('upstream'));
      await clock.advance(waitMs - 1);
      expect(started).toHaveLength(before);
      await clock.advance(1);
      expect(started).toHaveLength(before + 1);
    }
    await finish('a');
    queue.add('a');
    await clock.advance(0);
    await finish('a', new Error('upstream'));
    await clock.advance(100);
    expect(started).toHaveLength(6);
  });

  it('comes back to a key when its worker says so', async () => {
    const times: number[] = [];
    const { queue, clock, run } = queueOf({
      worker: () => {
        times.push(clock.monotonic());
        return Promise.resolve(times.length < 3 ? { requeueAfterMs: 500 } : undefined);
      },
    });
    queue.add('a');
    void run();
    await clock.advance(10_000);
    expect(times).toEqual([0, 500, 1_000]);
  });

  it('ends when told, after the workers', async () => {
    const { queue, clock, run, finish, stop } = queueOf();
    queue.add('a');
    queue.add('b');
    let ended = false;
    const running = run().then(() => {
      ended = true;
    });
    await clock.advance(0);
    stop.abort();
    await clock.advance(0);
    expect(ended).toBe(false);
    await finish('a');
    await running;
    expect([queue.depth, queue.active]).toEqual([1, 0]);
  });

  it('loses nothing and never exceeds its concurrency, whatever is added when', async () => {
    const step = fc.record({
      key: fc.constantFrom('a', 'b', 'c', 'd', 'e'),
      afterMs: fc.nat(50),
      priority: fc.nat(2),
      pauseMs: fc.nat(30),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (steps) => {
        const busy = new Set<string>();
        const lastAdded = new Map<string, number>();
        const lastStarted = new Map<string, number>();
        const { queue, clock, run, stop } = queueOf({
          concurrency: 2,
          worker: async (key) => {
            expect(busy.has(key)).toBe(false);
            busy.add(key);
            expect(busy.size).toBeLessThanOrEqual(2);
            lastStarted.set(key, clock.monotonic());
            await clock.sleep(7);
            busy.delete(key);
            return undefined;
          },
        });
        const running = run();
        for (const { key, pauseMs, ...options } of steps) {
          queue.add(key, options);
          lastAdded.set(key, clock.monotonic());
          await clock.advance(pauseMs);
        }
        await clock.advance(1_000);
        for (const [key, at] of lastAdded) expect(lastStarted.get(key)).toBeGreaterThanOrEqual(at);
        expect(queue.depth).toBe(0);
        stop.abort();
        await running;
      }),
      { numRuns: 50 },
    );
  });
});
