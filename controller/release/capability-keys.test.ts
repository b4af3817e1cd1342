import { type CapabilityKey, formatCapabilityKeys } from '../../registry/core/capability.ts';
import type { Authority } from './authority.ts';
import { isNewRelease, keepCapabilityKeys, keysIn } from './capability-keys.ts';

const MINUTE = 60_000;
const DAY = 86_400_000;
const YEAR = 365 * DAY;
const NOW = Date.parse('2026-11-30T03:00:00Z');

function keep(
  held: Parameters<typeof keepCapabilityKeys>[0],
  now = NOW,
  isNew = true,
): ReturnType<typeof keepCapabilityKeys> {
  return keepCapabilityKeys(held, { now, isNewRelease: isNew });
}
const key = (fill: number, signsFrom: number): CapabilityKey => ({
  secret: Buffer.alloc(32, fill),
  signsFrom,
});
const held = (...keys: CapabilityKey[]): { keys: string } => ({ keys: formatCapabilityKeys(keys) });

describe('the keys of capabilities', () => {
  const first = keep(undefined);

  it('are made once and kept, however old', () => {
    expect(keysIn(first)).toMatchObject([{ signsFrom: NOW }]);
    expect(keep(first, NOW + 30 * YEAR)).toEqual(first);
  });

  it('get a newer one beside them when the operator asks, which signs once it is everywhere', () => {
    const second = keep({ ...first, rotate: 'please' }, NOW + DAY);
    expect(Object.keys(second)).toEqual(['keys']);
    expect(keysIn(second)).toMatchObject([{ signsFrom: NOW + DAY + 10 * MINUTE }, keysIn(first)[0] ?? {}]);
    expect(keep(second, NOW + 2 * DAY)).toEqual(second);
  });

  it('go three years after a newer one began to sign', () => {
    const both = held(key(2, NOW), key(1, NOW - 20 * YEAR));
    expect(keep(both, NOW + 3 * YEAR - 1)).toEqual(both);
    expect(keep(both, NOW + 3 * YEAR)).toEqual(held(key(2, NOW)));
  });

  it('are never dropped in the write that adds one', () => {
    const old = [key(2, NOW - 5 * YEAR), key(1, NOW - 20 * YEAR)];
    expect(keysIn(keep({ ...held(...old), rotate: '' })).slice(1)).toEqual(old);
  });

  it('are made anew when they were deleted, or none can be read', () => {
    for (const data of [undefined, {}, { keys: 'nonsense' }, { keys: '' }])
      expect(keysIn(keep(data))).toHaveLength(1);
    expect(keep(undefined)).not.toEqual(first);
  });

  it('sign only once they are everywhere when the release may have had others', () => {
    expect(keysIn(keep(undefined, NOW, false))).toMatchObject([{ signsFrom: NOW + 10 * MINUTE }]);
  });

  it('outlive a damaged line among them, of which the number is told', () => {
    const { keys } = held(key(1, NOW));
    const lines: number[] = [];
    const kept = keepCapabilityKeys(
      { keys: `hunter2\n${keys}` },
      { now: NOW, isNewRelease: false, onBadLine: (line) => lines.push(line) },
    );
    expect(kept).toEqual({ keys });
    expect(lines).toEqual([1]);
  });

  it('count as of now when a wrong clock dated them, and drop no others', () => {
    const ahead = held(key(2, NOW + 40 * YEAR), key(1, NOW - YEAR));
    expect(keep(ahead)).toEqual(held(key(2, NOW), key(1, NOW - YEAR)));
    // The leader whose clock is wrong makes no key of its own, and gives none up that it knows no old successor of.
    const only = held(key(1, NOW));
    expect(keep(only, NOW + 40 * YEAR)).toEqual(only);
    expect(keysIn(keep(only, 0))).toHaveLength(1);
  });

  it('leave alone what somebody else keeps in the Secret', () => {
    expect(keep({ ...first, note: 'ours' })).toEqual({ ...first, note: 'ours' });
  });
});

describe('a release', () => {
  const current = { cert: '', key: '' };
  it.each<[string, Omit<Authority, 'current'>, boolean]>([
    ['has published no CA yet', {}, true],
    ['published its CA just now', { publishedAt: NOW - 4 }, true],
    ['published its CA long ago', { publishedAt: NOW - 5 }, false],
    ['replaces its CA', { previous: current }, false],
  ])('that %s', (_, authority, isNew) => {
    expect(isNewRelease({ current, ...authority }, { now: NOW, settleMs: 5 })).toBe(isNew);
  });
});
