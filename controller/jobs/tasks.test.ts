/** How errands are paced. */
import { ManualClock } from '../../platform/clock.ts';
import { silentLogger } from '../../platform/log.ts';
import { Errands } from './tasks.ts';

interface Answer {
  readonly retryAfterMs: number;
}

function bench(answers: Readonly<Record<string, number>> = {}) {
  const clock = new ManualClock();
  const asked: string[] = [];
  const errands = new Errands<string, Answer>({
    name: 'check',
    perform: (request) => {
      asked.push(request);
      return Promise.resolve({ retryAfterMs: answers[request] ?? 0 });
    },
    clock,
    log: silentLogger,
    limit: 4,
    laneOf: (request) => request.split('/')[0] ?? '',
    spacingMs: 100,
    restAfterMs: ({ retryAfterMs }) => retryAfterMs,
    backoff: { baseMs: 1_000, maxMs: 1_000 },
    onChange: () => undefined,
  });
  const start = (...requests: string[]): void => {
    for (const request of requests) errands.start(request, request);
  };
  return { clock, asked, errands, start };
}

describe('errands to one upstream', () => {
  it('are spaced, and those to others do not wait for them', async () => {
    const { clock, asked, errands, start } = bench();
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
    await errands.stop();
  });

  it('rest as long as it has asked for, and then go on', async () => {
    const { clock, asked, errands, start } = bench({ 'a/1': 60_000 });
    start('a/1', 'a/2', 'b/1', 'b/2');
    await clock.advance(1_000);
    expect(asked).toEqual(['a/1', 'b/1', 'b/2']);
    await clock.advance(58_000);
    start('a/3');
    await clock.advance(0);
    expect(asked).toHaveLength(3);
    await clock.advance(2_000);
    expect(asked.slice(3)).toEqual(['a/2', 'a/3']);
    await errands.stop();
  });

  it('that wait are given up when all end', async () => {
    const { clock, asked, errands, start } = bench();
    start('a/1', 'a/2');
    await clock.advance(0);
    await errands.stop();
    await clock.advance(1_000);
    expect(asked).toEqual(['a/1']);
  });
});
