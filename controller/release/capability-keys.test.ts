import { keepCapabilityKeys, keysIn } from './capability-keys.ts';

const DAY = 86_400_000;
const NOW = Date.parse('2026-11-30T03:00:00Z');
const madeAt = (data: ReturnType<typeof keepCapabilityKeys>): number[] =>
  keysIn(data).map((key) => (key.madeAt - NOW) / DAY);

describe('the keys of capabilities', () => {
  const first = keepCapabilityKeys(undefined, NOW);

  it('are made once and kept', () => {
    expect(keysIn(first)).toHaveLength(1);
    expect(keepCapabilityKeys(first, NOW + 364 * DAY)).toEqual(first);
  });

  it('get a newer one beside them after a year, and go when no Pod can be that old', () => {
    const second = keepCapabilityKeys(first, NOW + 365 * DAY);
    expect(madeAt(second)).toEqual([365, 0]);
    expect(keysIn(second)[1]).toEqual(keysIn(first)[0]);
    expect(madeAt(keepCapabilityKeys(second, NOW + 3 * 365 * DAY))).toEqual([3 * 365, 365]);
  });

  it('are made anew when they were deleted, or cannot be read', () => {
    for (const held of [{}, { keys: 'nonsense' }, { keys: '' }])
      expect(keysIn(keepCapabilityKeys(held, NOW))).toHaveLength(1);
    expect(keepCapabilityKeys(undefined, NOW)).not.toEqual(first);
  });

  it('leave alone what somebody else keeps in the Secret', () => {
    expect(keepCapabilityKeys({ ...first, note: 'ours' }, NOW)).toEqual({ ...first, note: 'ours' });
  });
});
