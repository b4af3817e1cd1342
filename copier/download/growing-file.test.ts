import { randomBytes } from 'node:crypto';
import { mkdtemp, open, readdir, rm, type FileHandle } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { copyInto } from '../../registry/transport/http/byte-sink.ts';
import { GrowingFile, type ReadRange } from './growing-file.ts';
import { BufferPool } from './buffer-pool.ts';
import { Spool, SpoolFull } from './spool.ts';

let folder: string;
let handle: FileHandle;
let file: GrowingFile;
const never = new AbortController().signal;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'larder-spool-'));
  handle = await open(join(folder, 'blob.part'), 'w+');
  file = new GrowingFile(handle, { pool: new BufferPool(2 ** 20), patienceMs: 500 });
});

afterEach(async () => {
  file.close();
  await handle.close();
  await rm(folder, { recursive: true });
});

async function append(bytes: Buffer, to = file): Promise<void> {
  if (!copyInto(to, bytes)) await to.ready();
}

async function read(range: ReadRange, signal = never): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of file.follow(range, signal)) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks).toString();
}

function text({ value }: IteratorResult<Uint8Array, void>): string {
  return Buffer.from(value ?? []).toString();
}

describe('a growing file', () => {
  it('gives every reader every byte, wherever and whenever it starts', async () => {
    const early = read({ start: 0 });
    const inside = read({ start: 3, end: 8 });
    await append(Buffer.from('hello '));
    const late = read({ start: 6 });
    await append(Buffer.from('world'));
    file.seal();
    expect(await Promise.all([early, inside, late, read({ start: 11 })])).toEqual([
      'hello world',
      'lo wo',
      'world',
      '',
    ]);
  });

  it('gives the same bytes to readers that keep up, fall behind or come late', async () => {
    const content = randomBytes(12_345_678);
    const slowly = async (): Promise<Buffer> => {
      const chunks: Uint8Array[] = [];
      for await (const chunk of file.follow({ start: 1 }, never)) {
        chunks.push(Uint8Array.from(chunk));
        await setImmediate();
      }
      return Buffer.concat(chunks);
    };
    const whole = async (): Promise<Buffer> => {
      const chunks: Uint8Array[] = [];
      for await (const chunk of file.follow({ start: 0 }, never)) chunks.push(Uint8Array.from(chunk));
      return Buffer.concat(chunks);
    };
    const [early, slow] = [whole(), slowly()];
    for (let offset = 0; offset < content.byteLength; offset += 70_001)
      await append(content.subarray(offset, offset + 70_001));
    const [late, end] = [whole(), read({ start: content.byteLength - 9 })];
    await file.flush();
    file.seal();
    expect((await early).equals(content)).toBe(true);
    expect((await late).equals(content)).toBe(true);
    expect((await slow).equals(content.subarray(1))).toBe(true);
    expect(await end).toBe(content.subarray(-9).toString());
  });

  describe('waits', () => {
    const piece = randomBytes(2 ** 18);
    /** Fills until the writer is told to wait, or for 8 MiB. */
    const fill = (): boolean => {
      for (let times = 0; times < 32; times += 1) if (!copyInto(file, piece)) return false;
      return true;
    };
    const readOn = async (reader: AsyncGenerator<Uint8Array>, bytes: number): Promise<void> => {
      for (let read = 0; read < bytes;) {
        const { value } = (await reader.next()) as IteratorYieldResult<Uint8Array>;
        read += value.byteLength;
      }
    };
    /** The disk is no reason to wait. */
    const settled = async (): Promise<void> => {
      await file.flush();
    };

    it('for whoever is awaited, and of the others for the one that is furthest', async () => {
      const [awaited, fast, slow] = [true, false, false].map((isAwaited) =>
        file.follow({ start: 0 }, never, { isAwaited }),
      ) as [AsyncGenerator<Uint8Array>, AsyncGenerator<Uint8Array>, AsyncGenerator<Uint8Array>];
      copyInto(file, piece);
      for (const reader of [awaited, fast, slow]) await reader.next();
      expect(fill()).toBe(false);
      await settled();
      const { written } = file;
      let isReady = false;
      const ready = file.ready().then(() => (isReady = true));
      await readOn(awaited, written - piece.byteLength - 10);
      await setImmediate();
      expect(isReady).toBe(false);
      await readOn(fast, written - piece.byteLength - 10);
      await ready;
      for (const reader of [awaited, fast, slow]) await reader.return(undefined);
    });

    it('for nobody who stands still, until that one has caught up', async () => {
      const reader = file.follow({ start: 0 }, never, { isAwaited: true });
      copyInto(file, piece);
      await reader.next();
      expect(fill()).toBe(false);
      await settled();
      await file.ready();
      copyInto(file, piece);
      await settled();
      expect(copyInto(file, Buffer.from('x'))).toBe(true);
      await readOn(reader, file.written - piece.byteLength - 1);
      expect(fill()).toBe(false);
      await reader.return(undefined);
    });
  });

  it('holds the last byte back until the content is verified', async () => {
    await append(Buffer.from('abc'));
    const reader = file.follow({ start: 0 }, never);
    expect(text(await reader.next())).toBe('ab');
    const last = reader.next();
    file.seal();
    expect(text(await last)).toBe('c');
    expect((await reader.next()).done).toBe(true);
  });

  it('holds back nothing but the very last byte where it knows which that is', async () => {
    const known = new GrowingFile(handle, { pool: new BufferPool(0), size: 6, patienceMs: 500 });
    const reader = known.follow({ start: 0 }, never);
    await append(Buffer.from('abc'), known);
    expect(text(await reader.next())).toBe('abc');
    await append(Buffer.from('def'), known);
    expect(text(await reader.next())).toBe('de');
    const last = reader.next();
    known.seal();
    expect(text(await last)).toBe('f');
    expect((await reader.next()).done).toBe(true);
    await known.flush();
    known.close();
  });

  it('cuts readers short when it fails, after what was readable', async () => {
    await append(Buffer.from('abc'));
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
    await append(Buffer.from('abc'));
    leaving.abort(new Error('client left'));
    await expect(gone).rejects.toThrow('client left');
    file.seal();
    expect(await stays).toBe('abc');
  });

  it('stays readable for a reader that began before its creator closed it', async () => {
    const closed = Promise.withResolvers<undefined>();
    const short = new GrowingFile(handle, {
      pool: new BufferPool(0),
      patienceMs: 500,
      onClosed: () => {
        closed.resolve(undefined);
      },
    });
    await append(Buffer.from('abc'), short);
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
    await append(Buffer.from('abc'), first.file);
    first.file.seal();
    const reader = first.file.follow({ start: 0 }, never);
    await reader.next();
    first.file.close();
    expect(spool.reserved).toBe(100);
    await reader.return();
    while (spool.reserved > 0) await setImmediate();
  });

  it('has files without a name, so that a crash leaves nothing behind, and uses them again', async () => {
    const spool = new Spool(folder, 100);
    const before = await readdir(folder);
    for (const content of ['first and long', 'second']) {
      const { file: each } = await spool.reserve(20);
      await append(Buffer.from(content), each);
      await each.flush();
      expect(await readdir(folder)).toEqual(before);
      const reader = each.follow({ start: 0 }, never);
      expect(text(await reader.next())).toBe(content);
      await reader.return();
      each.close();
      while (spool.reserved > 0) await setImmediate();
    }
    await spool.close();
  });
});
