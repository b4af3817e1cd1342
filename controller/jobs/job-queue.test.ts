/** How jobs are paced, whatever their kind. */
import { ManualClock } from '../../platform/clock.ts';
import { silentLogger } from '../../platform/log.ts';
import { type JobKind, JobQueue } from './job-queue.ts';

interface Result {
  readonly retryAfterMs: number;
}

function bench(
  answers: Readonly<Record<string, number>> = {},
  changes: Partial<JobKind<string, Result>> = {},
) {
  const clock = new ManualClock();
  const asked: string[] = [];
  const changed: string[] = [];
  const jobs = new JobQueue<string, Result>(
    {
      name: 'check',
      perform: (request) => {
        asked.push(request);
        return Promise.resolve({ retryAfterMs: answers[request] ?? 0 });
      },
      limits: { total: 4, spacingMs: 100 },
      laneOf: (request) => request.split('/')[0] ?? '',
      restAfterMs: ({ retryAfterMs }) => retryAfterMs,
      backoff: () => ({ baseMs: 1_000, maxMs: 1_000 }),
      onDone: () => undefined,
      onFailed: () => undefined,
      ...changes,
    },
    { clock, log: silentLogger, onChange: (name) => changed.push(name) },
  );
  const start = (...requests: string[]): void => {
    for (const request of requests) jobs.start(request, request);
  };
  return { clock, asked, changed, jobs, start };
}

describe('jobs in one lane', () => {
  it('are spaced, and those in others do not wait for them', async () => {
    const { clock, asked, jobs, start } = bench();
    start('a/1', 'a/2', 'a/3', 'b/1');
    await clock.advance(0);
    expect(asked).toEqual(['a/1', 'b/1']);
    await clock.advance(100);
    expect(asked.slice(2)).toEqual(['a/2']);
    start('c/1');
    await clock.advance(0);
    expect(asked.slice(3)).toEqual(['c/1']);
    await clock.advance(100);
    expect(asked.slice(4)).toEqual(['a/3']);
    await jobs.stop();
  });

  it('rest as long as a result asks for, and then go on', async () => {
    const { clock, asked, jobs, start } = bench({ 'a/1': 60_000 });
    start('a/1', 'a/2', 'b/1', 'b/2');
    await clock.advance(1_000);
    expect(asked).toEqual(['a/1', 'b/1', 'b/2']);
    await clock.advance(58_000);
    start('a/3');
    await clock.advance(0);
    expect(asked).toHaveLength(3);
    await clock.advance(2_000);
    expect(asked.slice(3)).toEqual(['a/2', 'a/3']);
    await jobs.stop();
  });

  it('that wait are given up when all end', async () => {
    const { clock, asked, jobs, start } = bench();
    start('a/1', 'a/2');
    await clock.advance(0);
    await jobs.stop();
    await clock.advance(1_000);
    expect(asked).toEqual(['a/1']);
  });
});

describe('a job', () => {
  it('is reported once, at its end, unless its kind reports progress', async () => {
    const { clock, changed, jobs, start } = bench();
    start('a/1');
    await clock.advance(0);
    expect(changed).toEqual(['a/1']);
    expect(jobs.state('a/1')).toMatchObject({ phase: 'done', at: 0 });
    jobs.settle('a/1');
    expect(jobs.state('a/1')).toEqual({ phase: 'idle', lastAt: 0 });
  });

  it('that is forgotten ends unheard, and one of the same name waits for that', async () => {
    const ends: (() => void)[] = [];
    const perform = (): Promise<Result> =>
      new Promise((resolve) => {
        ends.push(() => {
          resolve({ retryAfterMs: 0 });
        });
      });
    const { clock, changed, jobs, start } = bench({}, { perform, limits: { total: 4 } });
    start('a/1');
    jobs.forget('a/1');
    start('a/1');
    expect([ends.length, jobs.state('a/1').phase]).toEqual([1, 'queued']);
    ends[0]?.();
    await clock.advance(0);
    expect([ends.length, changed, jobs.state('a/1').phase]).toEqual([2, [], 'running']);
    ends[1]?.();
    await clock.advance(0);
    expect(changed).toEqual(['a/1']);
  });

  it('that fails waits longer each time, and is the first to fail again once it has succeeded', async () => {
    let fails = true;
    const perform = (): Promise<Result> =>
      fails ? Promise.reject(new Error('away')) : Promise.resolve({ retryAfterMs: 0 });
    const { clock, jobs, start } = bench({}, { perform });
    const failures: unknown[] = [];
    for (const failing of [true, true, false, true]) {
      fails = failing;
      start('a/1');
      await clock.advance(200);
      const state = jobs.state('a/1');
      failures.push(state.phase === 'failed' ? state.failure.failures : state.phase);
    }
    expect(failures).toEqual([1, 2, 'done', 1]);
  });
});
