import type { StoreStatus } from '../../api/store-api.ts';
import { ManualClock } from '../../platform/clock.ts';
import { silentLogger } from '../../platform/log.ts';
import { StoreKeeper } from './keeper.ts';

const GIB = 2 ** 30;

function bench() {
  const clock = new ManualClock(1_000_000);
  const seen = {
    collections: 0,
    otherVolumes: 0,
    volumeId: 'first',
    fails: false,
    collectedAt: undefined as string | undefined,
  };
  const status = (): Promise<StoreStatus> => {
    if (seen.fails) return Promise.reject(new Error('the store is away'));
    return Promise.resolve({
      volumeId: seen.volumeId,
      state: 'serving',
      reader: { ready: true },
      writer: { ready: true },
      volume: { usedBytes: GIB, freeBytes: 9 * GIB, sizeBytes: 10 * GIB },
      lastCollection:
        seen.collectedAt === undefined ? null : { startedAt: seen.collectedAt, seconds: 1, freedBytes: 0 },
    });
  };
  const keeper = new StoreKeeper({
    store: {
      status,
      collect: () => {
        seen.collections += 1;
        return status();
      },
    },
    thresholds: { worthBytes: GIB, afterMs: 86_400_000 },
    everyMs: 30_000,
    onOtherVolume: () => {
      seen.otherVolumes += 1;
    },
    assertLeader: () => undefined,
    clock,
    log: silentLogger,
  });
  return { clock, keeper, seen };
}

describe('the keeper of the store', () => {
  it('has what was removed collected, once', async () => {
    const { clock, keeper, seen } = bench();
    const running = await keeper.component().start(new AbortController().signal);
    await clock.advance(60_000);
    expect(seen.collections).toBe(0);
    keeper.removed(2 * GIB);
    await clock.advance(300_000);
    expect(seen.collections).toBe(1);
    await running.stop();
  });

  it('has garbage collected at once when it is asked to, and looks often until that is done', async () => {
    const { clock, keeper, seen } = bench();
    const running = await keeper.component().start(new AbortController().signal);
    await clock.advance(1_000);
    keeper.collectNow();
    await clock.advance(0);
    expect([seen.collections, keeper.hasCollected]).toEqual([1, false]);
    seen.collectedAt = '2026-11-21T03:00:00Z';
    await clock.advance(2_000);
    expect([seen.collections, keeper.hasCollected]).toEqual([1, true]);
    expect(keeper.status?.lastCollection?.startedAt).toBe(seen.collectedAt);
    await running.stop();
  });

  it('has collected after a day what a former leader may have removed', async () => {
    const { clock, keeper, seen } = bench();
    const running = await keeper.component().start(new AbortController().signal);
    await clock.advance(86_000_000);
    expect(seen.collections).toBe(0);
    await clock.advance(86_400_000);
    expect(seen.collections).toBe(1);
    await running.stop();
  });

  it('notices another volume, also after the store was away', async () => {
    const { clock, keeper, seen } = bench();
    const running = await keeper.component().start(new AbortController().signal);
    await clock.advance(60_000);
    expect(seen.otherVolumes).toBe(0);
    seen.fails = true;
    await clock.advance(60_000);
    Object.assign(seen, { fails: false, volumeId: 'second' });
    await clock.advance(60_000);
    expect(seen.otherVolumes).toBe(1);
    await running.stop();
  });
});
