import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { silentLogger, type Logger } from '../platform/log.ts';
import { formatCapabilityKeys } from '../registry/core/capability.ts';
import { readKeys } from './files.ts';

const KEYS = [{ secret: Buffer.alloc(32, 1), signsFrom: 0 }];

describe('the keys of capabilities', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'larder-keys-'));
  });
  afterEach(async () => {
    await rm(folder, { recursive: true });
  });

  it('are none while their file is absent, and there once it comes', async () => {
    const path = join(folder, 'keys');
    const keys = await readKeys(path, silentLogger);
    expect(keys.get()).toEqual([]);
    await writeFile(path, formatCapabilityKeys(KEYS));
    await keys.refresh();
    expect(keys.get()).toEqual(KEYS);
  });

  it('are those that can be read; a damaged line is told of and not repeated', async () => {
    const path = join(folder, 'keys');
    const warnings: unknown[] = [];
    const log: Logger = { ...silentLogger, warn: (...warning) => warnings.push(warning) };
    await writeFile(path, `hunter2\n${formatCapabilityKeys(KEYS)}`);
    expect((await readKeys(path, log)).get()).toEqual(KEYS);
    expect(JSON.stringify(warnings)).toContain('"line":1');
    expect(JSON.stringify(warnings)).not.toContain('hunter2');
    await writeFile(path, 'hunter2');
    expect((await readKeys(path, log)).get()).toEqual([]);
  });
});
