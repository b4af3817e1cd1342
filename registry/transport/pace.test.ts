import { Pace } from './pace.ts';

const HOST = 'registry.example.com';
let time = 0;
let pace: Pace;

beforeEach(() => {
  time = 0;
  pace = new Pace({ defaultPauseMs: 10_000, maxPauseMs: 60_000, now: () => time });
});

function hear(status: number, headers: Record<string, string> = {}): void {
  pace.lane(HOST, '').heard(status, (name) => headers[name]);
}

/** For how long requests are kept back now, in seconds. */
function pauseSeconds(host = HOST, login = ''): number | undefined {
  try {
    pace.lane(host, login).admit();
    return 0;
  } catch (error) {
    return (error as { retryAfterSeconds?: number }).retryAfterSeconds;
  }
}

describe('a registry that limits', () => {
  it.each<[string, number, Record<string, string>, number]>([
    ['429 with seconds', 429, { 'retry-after': '7' }, 7],
    ['429 without a word', 429, {}, 10],
    ['429 with the old fields', 429, { 'ratelimit-remaining': '0', 'ratelimit-reset': '20' }, 20],
    ['429 for longer than anybody waits', 429, { 'retry-after': '86400' }, 60],
    ['nothing left, old fields', 200, { 'ratelimit-remaining': '0', 'ratelimit-reset': '30' }, 30],
    ['nothing left, new field', 200, { ratelimit: '"default";r=0;t=12' }, 12],
    ['something left', 200, { ratelimit: '"default";r=3;t=12', 'ratelimit-reset': '12' }, 0],
    [
      "nothing left of Docker Hub's window, nobody knows until when",
      200,
      { 'ratelimit-remaining': '0;w=21600' },
      0,
    ],
    ['nonsense', 200, { 'ratelimit-remaining': 'none', ratelimit: 'r=0' }, 0],
    ['no limit at all', 503, {}, 0],
  ])('is left alone: %s', (_, status, headers, seconds) => {
    hear(status, headers);
    expect(pauseSeconds()).toBe(seconds);
  });

  it('is asked again when the time is over, and meanwhile others are, and by those who are somebody else to it', () => {
    hear(429, { 'retry-after': '7' });
    expect(pauseSeconds('other.example.com')).toBe(0);
    expect(pauseSeconds(HOST, 'somebody')).toBe(0);
    time = 6_500;
    expect(pauseSeconds()).toBe(1);
    time = 7_000;
    expect(pauseSeconds()).toBe(0);
  });
});
