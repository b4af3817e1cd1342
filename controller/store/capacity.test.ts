/** What goes when the cache is too full, over random caches. */
import fc from 'fast-check';
import { capacity, type Holding } from './capacity.ts';

const holding = fc.record({
  sizeBytes: fc.integer({ min: 0, max: 1_000 }),
  lastUsedAt: fc.integer({ min: 0, max: 20 }),
  mayGo: fc.boolean(),
});
const holdings = fc
  .array(holding, { maxLength: 12 })
  .map((list): Holding[] => list.map((each, n) => ({ ...each, name: `image-${n}` })));
const volume = fc.option(
  fc.record({
    usedBytes: fc.integer({ min: 0, max: 8_000 }),
    garbageBytes: fc.integer({ min: 0, max: 2_000 }),
  }),
  { nil: undefined },
);
const limit = fc.integer({ min: 0, max: 8_000 });

function sizeOf(images: readonly Holding[]): number {
  return images.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
}

describe('a cache with a limit', () => {
  it('lets nothing go that is needed, and nothing while it fits', () => {
    fc.assert(
      fc.property(holdings, volume, limit, (all, onVolume, limitBytes) => {
        const { evict, heldBytes } = capacity(all, onVolume, limitBytes);
        for (const { name, mayGo } of all) if (!mayGo) expect(evict).not.toContain(name);
        if (heldBytes <= limitBytes) expect(evict).toEqual([]);
      }),
      { numRuns: 2000 },
    );
  });

  it('lets go what was used longest ago, and no more than it has to', () => {
    fc.assert(
      fc.property(holdings, volume, limit, (all, onVolume, limitBytes) => {
        const { evict, heldBytes } = capacity(all, onVolume, limitBytes);
        const going = all.filter(({ name }) => evict.includes(name));
        const staying = all.filter(({ name, mayGo }) => mayGo && !evict.includes(name));
        const last = Math.max(...going.map(({ lastUsedAt }) => lastUsedAt));
        for (const { lastUsedAt } of staying) expect(lastUsedAt).toBeGreaterThanOrEqual(last);
        const butTheLast = going.filter(({ name }) => name !== evict.at(-1));
        if (evict.length > 0) expect(heldBytes - sizeOf(butTheLast)).toBeGreaterThan(limitBytes);
      }),
      { numRuns: 2000 },
    );
  });

  it('says by how much it stays too full when all that is left is needed', () => {
    fc.assert(
      fc.property(holdings, volume, limit, (all, onVolume, limitBytes) => {
        const { evict, heldBytes, excessBytes } = capacity(all, onVolume, limitBytes);
        const going = all.filter(({ name }) => evict.includes(name));
        expect(excessBytes).toBe(Math.max(0, heldBytes - sizeOf(going) - limitBytes));
        if (excessBytes > 0) expect(going.length).toBe(all.filter(({ mayGo }) => mayGo).length);
      }),
      { numRuns: 2000 },
    );
  });
});

it('layers that images share take room once, and what was removed is won by a collection, not by further removals', () => {
  const image = (name: string, lastUsedAt: number): Holding => ({
    name,
    lastUsedAt,
    sizeBytes: 100,
    mayGo: true,
  });
  const all = [image('old', 1), image('older', 0), image('new', 2)];
  expect(capacity(all, { usedBytes: 150, garbageBytes: 0 }, 150).evict).toEqual([]);
  expect(capacity(all, { usedBytes: 250, garbageBytes: 100 }, 150).evict).toEqual([]);
  expect(capacity(all, { usedBytes: 250, garbageBytes: 0 }, 150).evict).toEqual(['older']);
  expect(capacity(all, undefined, 150).evict).toEqual(['older', 'old']);
  expect(capacity(all, undefined, undefined)).toEqual({ evict: [], heldBytes: 300, excessBytes: 0 });
});
