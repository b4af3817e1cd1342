import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ManualClock } from '../platform/clock.ts';
import { UsageMeter } from './usage.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'larder-usage-'));
});
afterEach(() => rm(folder, { recursive: true }));

async function addFile(name: string, kibibytes: number): Promise<void> {
  await mkdir(join(folder, name, '..'), { recursive: true });
  await writeFile(join(folder, name), Buffer.alloc(kibibytes * 1024, 1));
}

describe('the space that images take', () => {
  it('is counted in bytes on disk, in folders of folders', async () => {
    await addFile('a/b/c', 64);
    await addFile('d', 32);
    const { usedBytes, freeBytes, sizeBytes } = await new UsageMeter(folder, new ManualClock()).volume();
    expect(usedBytes).toBeGreaterThanOrEqual(96 * 1024);
    expect(usedBytes).toBeLessThan(96 * 1024 + 16 * 1024);
    expect(freeBytes).toBeLessThan(sizeBytes);
  });

  it('is counted once a second at most, unless a collection asks', async () => {
    const clock = new ManualClock();
    const meter = new UsageMeter(folder, clock);
    expect((await meter.volume()).usedBytes).toBe(0);
    await addFile('new', 8);
    await clock.advance(900);
    expect((await meter.volume()).usedBytes).toBe(0);
    await clock.advance(200);
    const counted = (await meter.volume()).usedBytes;
    expect(counted).toBeGreaterThanOrEqual(8 * 1024);
    await rm(join(folder, 'new'));
    expect(await meter.measure()).toBe(0);
  });

  it('is counted the more seldom the longer it takes, and by one walk for all who ask meanwhile', async () => {
    const clock = new ManualClock();
    let walks = 0;
    const count = async (): Promise<number> => {
      walks += 1;
      await clock.sleep(10_000);
      return walks;
    };
    const meter = new UsageMeter(folder, clock, count);
    const asked = [meter.volume(), meter.volume()];
    await clock.advance(10_000);
    expect((await Promise.all(asked)).map(({ usedBytes }) => usedBytes)).toEqual([1, 1]);
    await clock.advance(99_000);
    expect((await meter.volume()).usedBytes).toBe(1);
    await clock.advance(2_000);
    void meter.volume();
    expect(walks).toBe(2);
  });
});
