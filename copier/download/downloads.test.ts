import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { silentLogger } from '../../platform/log.ts';
import { digestOf } from '../../registry/core/digest.ts';
import { toRegistryError } from '../../registry/core/errors.ts';
import type { BlobKey, BlobSink } from '../blob-sink.ts';
import type { BlobSource } from './download.ts';
import { Downloads } from './downloads.ts';
import { Spool } from './spool.ts';

const content = Buffer.alloc(1_000_000, 'larder');
const digest = digestOf(content);
const key: BlobKey = { repository: 'docker.io/library/nginx', digest };
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'larder-downloads-'));
});

afterAll(async () => {
  await rm(folder, { recursive: true });
});

class FakeSink implements BlobSink {
  readonly stored = new Map<string, Buffer>();
  /** Tries that fail before one may succeed. */
  away = 0;
  puts = 0;

  async put(
    { repository, digest: of }: BlobKey,
    _size: number | undefined,
    blob: AsyncIterable<Uint8Array>,
  ): Promise<void> {
    this.puts += 1;
    if (this.away > 0) {
      this.away -= 1;
      throw new Error('connection refused');
    }
    const chunks: Uint8Array[] = [];
    for await (const chunk of blob) chunks.push(Uint8Array.from(chunk));
    this.stored.set(`${repository}@${of}`, Buffer.concat(chunks));
  }
}

function upstream(body: Buffer, pieceBytes = 100_000): BlobSource & { requests: number } {
  const source = {
    requests: 0,
    open: (offset: number) => {
      source.requests += 1;
      const pieces = Array.from({ length: 10 }, (_, i) =>
        body.subarray(offset).subarray(i * pieceBytes, (i + 1) * pieceBytes),
      );
      return Promise.resolve({ size: body.length, body: Readable.from(pieces), toError: toRegistryError });
    },
  };
  return source;
}

function setUp(
  sink: BlobSink,
  patienceMs?: number,
): { downloads: Downloads; spool: Spool; stop: AbortController } {
  const spool = new Spool(folder, 10_000_000, patienceMs);
  const stop = new AbortController();
  const downloads = new Downloads({
    spool,
    sink,
    resume: { tries: 1, pauseMs: 1 },
    commitBackoff: { baseMs: 1, maxMs: 2 },
    commitPatienceMs: 10_000,
    log: silentLogger,
    signal: stop.signal,
  });
  return { downloads, spool, stop };
}

async function read(downloads: Downloads, source: BlobSource): Promise<Buffer> {
  const { file } = await downloads.join(key, source).opened;
  const chunks: Buffer[] = [];
  for await (const chunk of file.follow({ start: 0 }, new AbortController().signal))
    chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks);
}

describe('downloads', () => {
  it('are fetched once for fifty readers, stored once, and their room is free afterwards', async () => {
    const sink = new FakeSink();
    const { downloads, spool } = setUp(sink);
    const source = upstream(content);
    const bodies = await Promise.all(Array.from({ length: 50 }, () => read(downloads, source)));
    expect(bodies.every((body) => body.equals(content))).toBe(true);
    await downloads.settle();
    expect(source.requests).toBe(1);
    expect(sink.puts).toBe(1);
    expect(sink.stored.get(`${key.repository}@${digest}`)?.equals(content)).toBe(true);
    expect(downloads.size).toBe(0);
    while (spool.reserved > 0) await new Promise(setImmediate);
  });

  it('are stored although everyone who asked has left', async () => {
    const sink = new FakeSink();
    const { downloads } = setUp(sink);
    const ongoing = downloads.join(key, upstream(content));
    const leaving = new AbortController();
    const reader = (await ongoing.opened).file.follow({ start: 0 }, leaving.signal);
    await reader.next();
    leaving.abort();
    await reader.return();
    await ongoing.stored;
    expect(sink.stored.size).toBe(1);
  });

  it('reach their readers while the store is away, and the store when it is back', async () => {
    const sink = new FakeSink();
    sink.away = 3;
    const { downloads } = setUp(sink);
    const source = upstream(content);
    expect((await read(downloads, source)).equals(content)).toBe(true);
    await downloads.find(key)?.stored;
    expect(sink.puts).toBe(4);
    expect(source.requests).toBe(1);
    expect(sink.stored.size).toBe(1);
  });

  it('wait for a store that takes a while to let them in, so that nothing is read from the disk', async () => {
    const large = Buffer.alloc(8_000_000, 'larder');
    const largeKey = { ...key, digest: digestOf(large) };
    const sink = new FakeSink();
    const { downloads } = setUp(sink, 60_000);
    const put = sink.put.bind(sink);
    sink.put = async (...args) => {
      for (let turn = 0; turn < 3_000; turn += 1) await new Promise(setImmediate);
      await put(...args);
    };
    const { opened, stored } = downloads.join(largeKey, upstream(large, 800_000));
    const { file } = await opened;
    await stored;
    expect(file.wasReadFromDisk).toBe(false);
    expect(sink.stored.get(`${key.repository}@${largeKey.digest}`)?.equals(large)).toBe(true);
  });

  it('are not stored when their bytes are wrong, and the next reader asks upstream anew', async () => {
    const sink = new FakeSink();
    const { downloads, spool } = setUp(sink);
    const wrong = upstream(Buffer.alloc(content.length, 'poison'));
    await expect(read(downloads, wrong)).rejects.toMatchObject({ reason: 'DigestMismatch' });
    await downloads.settle();
    expect(sink.stored.size).toBe(0);
    while (spool.reserved > 0) await new Promise(setImmediate);
    expect((await read(downloads, upstream(content))).equals(content)).toBe(true);
  });

  it('end with the copier', async () => {
    const { downloads, stop } = setUp(new FakeSink());
    const silent: BlobSource = {
      open: () =>
        Promise.resolve({
          size: 10,
          body: new Readable({ read: () => undefined }),
          toError: toRegistryError,
        }),
    };
    const { stored, opened } = downloads.join(key, silent);
    await opened;
    stop.abort(new Error('stopping'));
    await expect(stored).rejects.toThrow();
  });
});
