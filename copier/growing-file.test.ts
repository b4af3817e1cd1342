import { randomBytes } from 'node:crypto';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { GrowingFile, type ByteRange } from './growing-file.ts';
import { Spool, SpoolFull } from './spool.ts';

let folder: string;
let file: GrowingFile;
const never = new AbortController().signal;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'larder-spool-'));
  file = await GrowingFile.create(join(folder, 'blob.part'));
});

afterEach(async () => {
  file.close();
  await rm(folder, { recursive: true });
});

async function read(range: ByteRange, signal = never): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of file.follow(range, signal)) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks).toString();
}

function text({ value }: IteratorResult<Uint8Array, void>): string {
  return Buffer.from(value ?? []).toString();
}

describe('a growing file', () => {
  it('has no name on disk, so that a crash leaves nothing behind', async () => {
    await file.append(Buffer.from('something'));
    expect(await readdir(folder)).toEqual([]);
  });

  it('gives every reader every byte, wherever and whenever it starts', async () => {
    const early = read({ start: 0 });
    const inside = read({ start: 3, end: 8 });
    await file.append(Buffer.from('hello '));
    const late = read({ start: 6 });
    await file.append(Buffer.from('world'));
    file.seal();
    expect(await Promise.all([early, inside, late, read({ start: 11 })])).toEqual([
      'hello world',
      'lo wo',
      'world',
      '',
    ]);
  });

  it('gives the same bytes to readers that keep up, fall behind, come late, or keep what they got', async () => {
    const content = randomBytes(12_345_678);
    const slowly = async (): Promise<Buffer> => {
      const chunks: Uint8Array[] = [];
      for await (const chunk of file.follow({ start: 1 }, never)) {
        chunks.push(Uint8Array.from(chunk));
        await setImmediate();
      }
      return Buffer.concat(chunks);
    };
    const keeping = async (): Promise<Buffer> => {
      const chunks: Uint8Array[] = [];
      for await (const chunk of file.follow({ start: 0 }, never, { keepsChunks: true })) chunks.push(chunk);
      return Buffer.concat(chunks);
    };
    const [early, slow] = [keeping(), slowly()];
    for (let offset = 0; offset < content.byteLength; offset += 70_001)
      await file.append(content.subarray(offset, offset + 70_001));
    const [late, end] = [keeping(), read({ start: content.byteLength - 9 })];
    await file.flush();
    file.seal();
    expect((await early).equals(content)).toBe(true);
    expect((await late).equals(content)).toBe(true);
    expect((await slow).equals(content.subarray(1))).toBe(true);
    expect(await end).toBe(content.subarray(-9).toString());
  });

  it('holds the last byte back until the content is verified', async () => {
    await file.append(Buffer.from('abc'));
    const reader = file.follow({ start: 0 }, never);
    expect(text(await reader.next())).toBe('ab');
    const last = reader.next();
    file.seal();
    expect(text(await last)).toBe('c');
    expect((await reader.next()).done).toBe(true);
  });

  it('cuts readers short when it fails, after what was readable', async () => {
    await file.append(Buffer.from('abc'));
    const reader = file.follow({ start: 0 }, never);
    await reader.next();
    const next = reader.next();
    file.fail(new Error('wrong digest'));
    await expect(next).rejects.toThrow('wrong digest');
  });

  it('lets a reader go when its signal fires, and the others stay', async () => {
    const leaving = new AbortController();
    const gone = read({ start: 0 }, leaving.signal);
    const stays = read({ start: 0 });
    await file.append(Buffer.from('abc'));
    leaving.abort(new Error('client left'));
    await expect(gone).rejects.toThrow('client left');
    file.seal();
    expect(await stays).toBe('abc');
  });

  it('stays readable for a reader that began before its creator closed it', async () => {
    const closed = Promise.withResolvers<undefined>();
    const short = await GrowingFile.create(join(folder, 'short.part'), () => {
      closed.resolve(undefined);
    });
    await short.append(Buffer.from('abc'));
    const reader = short.follow({ start: 0 }, never);
    expect(text(await reader.next())).toBe('ab');
    short.seal();
    short.close();
    expect((await reader.next()).value?.toString()).toBe('c');
    await reader.next();
    await closed.promise;
  });
});

describe('the spool', () => {
  it('refuses what does not fit, and has the room again when the last reader has gone', async () => {
    const spool = new Spool(folder, 100);
    const first = await spool.reserve(60);
    await expect(spool.reserve(50)).rejects.toBeInstanceOf(SpoolFull);
    first.grow(100);
    expect(() => {
      first.grow(101);
    }).toThrow(SpoolFull);
    await first.file.append(Buffer.from('abc'));
    first.file.seal();
    const reader = first.file.follow({ start: 0 }, never);
    await reader.next();
    first.file.close();
    expect(spool.reserved).toBe(100);
    await reader.return();
    while (spool.reserved > 0) await setImmediate();
  });
});
