import { isCollectionDue } from './collection.ts';

const GIB = 2 ** 30;
const HOUR = 3_600_000;
const NOW = Date.parse('2026-11-21T03:00:00Z');
const THRESHOLDS = { worthBytes: GIB, afterMs: 24 * HOUR, limitBytes: 45 * GIB };
const ROOMY = { usedBytes: 5 * GIB, freeBytes: 40 * GIB, sizeBytes: 50 * GIB };

describe('a collection', () => {
  it.each([
    ['is due when there is much to gain', 2 * GIB, HOUR, ROOMY, true],
    ['is not due for little', 0.5 * GIB, HOUR, ROOMY, false],
    [
      'is due for little on a volume that is nearly full',
      0.5 * GIB,
      HOUR,
      { ...ROOMY, freeBytes: GIB },
      true,
    ],
    ['is due for little when the limit is passed', 1, HOUR, { ...ROOMY, usedBytes: 46 * GIB }, true],
    ['is not due for a small part of a large store', 2 * GIB, HOUR, { ...ROOMY, usedBytes: 40 * GIB }, false],
    ['is due once garbage has waited for a day', 1, 24 * HOUR, ROOMY, true],
    ['waits for more that goes with it', 2 * GIB, 1_000, ROOMY, false],
    ['is not due when there is nothing to gain', 0, 48 * HOUR, { ...ROOMY, freeBytes: 0 }, false],
    ['is due by its worth where space cannot be counted', 2 * GIB, HOUR, null, true],
  ])('%s', (_, bytes, waitedMs, volume, due) => {
    expect(isCollectionDue({ bytes, since: NOW - waitedMs }, volume, THRESHOLDS, NOW)).toBe(due);
  });
});
