import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { digestOf } from '../../registry/core/digest.ts';
import { RegistryError } from '../../registry/core/errors.ts';
import type { OpenedBlob } from '../../registry/client/blobs.ts';
import { Download, type BlobSource } from './download.ts';
import type { GrowingFile } from './growing-file.ts';
import { Spool, SpoolFull } from './spool.ts';

const toError = (cause: unknown): RegistryError =>
  new RegistryError('broke off', { reason: 'Unreachable', cause });
const content = Buffer.from('the quick brown fox jumps over the lazy dog');
const digest = digestOf(content);
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'larder-download-'));
});

afterAll(async () => {
  await rm(folder, { recursive: true });
});

/** A source whose n-th `open` gives the n-th of these bodies. */
function source(...bodies: ((offset: number) => OpenedBlob)[]): BlobSource & { offsets: number[] } {
  const offsets: number[] = [];
  return {
    offsets,
    open: (offset) => {
      const body = bodies[Math.min(offsets.length, bodies.length - 1)];
      offsets.push(offset);
      if (body === undefined) throw new Error('no body');
      return Promise.resolve(body(offset));
    },
  };
}

const whole = (offset: number): OpenedBlob => ({
  size: content.length,
  body: Readable.from([content.subarray(offset)]),
  toError,
});

const breaksAfter =
  (count: number) =>
  (offset: number): OpenedBlob => ({
    size: content.length,
    body: Readable.from(
      (async function* () {
        yield content.subarray(offset, offset + count);
        await Promise.reject(new Error('socket hang up'));
      })(),
    ),
    toError,
  });

function download(blobs: BlobSource, { limit = 1000, tries = 2 } = {}): Download {
  return new Download({
    digest,
    source: blobs,
    spool: new Spool(folder, limit),
    resume: { tries, pauseMs: 1 },
    signal: new AbortController().signal,
  });
}

async function readAll(file: GrowingFile): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of file.follow({ start: 0 }, new AbortController().signal))
    chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks);
}

describe('a download', () => {
  it('is complete once its bytes are those of the digest', async () => {
    const started = download(source(whole));
    const { file, size } = await started.opened;
    expect(size).toBe(content.length);
    expect(await readAll(file)).toEqual(content);
    (await started.completed).file.close();
  });

  it('goes on where upstream broke off, as long as that brings bytes', async () => {
    const blobs = source(breaksAfter(10), breaksAfter(5), breaksAfter(0), whole);
    const { file } = await download(blobs).completed;
    expect(blobs.offsets).toEqual([0, 10, 15, 15]);
    expect(await readAll(file)).toEqual(content);
    file.close();
  });

  it('gives up after the tries that brought nothing, and cuts its readers short', async () => {
    const blobs = source(breaksAfter(10), breaksAfter(0));
    const started = download(blobs);
    const reading = readAll((await started.opened).file);
    await expect(started.completed).rejects.toThrow('broke off');
    await expect(reading).rejects.toThrow('broke off');
    expect(blobs.offsets).toEqual([0, 10, 10]);
  });

  it('takes a body that ends early for a broken one', async () => {
    const short = (offset: number): OpenedBlob => ({
      size: content.length,
      body: Readable.from([content.subarray(offset, 20)]),
      toError,
    });
    const blobs = source(short, whole);
    (await download(blobs).completed).file.close();
    expect(blobs.offsets).toEqual([0, 20]);
  });

  it('never gives the last byte of content that is not of the digest, nor asks for it again', async () => {
    const wrong = Buffer.from(content).fill('x', 3, 4);
    const blobs = source(() => ({ size: wrong.length, body: Readable.from([wrong]), toError }));
    const started = download(blobs);
    let received = 0;
    await expect(
      (async () => {
        const { file } = await started.opened;
        for await (const chunk of file.follow({ start: 0 }, new AbortController().signal))
          received += chunk.length;
      })(),
    ).rejects.toMatchObject({ reason: 'DigestMismatch' });
    expect(received).toBeLessThan(wrong.length);
    expect(blobs.offsets).toEqual([0]);
  });

  it('refuses more bytes than were announced', async () => {
    const started = download(source(() => ({ size: 10, body: Readable.from([content]), toError })));
    await expect(started.completed).rejects.toMatchObject({ reason: 'DigestMismatch' });
  });

  it('passes on what upstream means when it gives nothing', async () => {
    const refusal = new RegistryError('no such blob', { reason: 'NotFound', code: 'BLOB_UNKNOWN' });
    const started = download({ open: () => Promise.reject(refusal) });
    await expect(started.opened).rejects.toBe(refusal);
    await expect(started.completed).rejects.toBe(refusal);
  });

  it('says that the spool is full, also when only the bytes show it', async () => {
    await expect(download(source(whole), { limit: 10 }).opened).rejects.toBeInstanceOf(SpoolFull);
    const unsized = download(
      source(() => ({ size: undefined, body: Readable.from([content]), toError })),
      { limit: 10 },
    );
    await unsized.opened;
    await expect(unsized.completed).rejects.toBeInstanceOf(SpoolFull);
  });
});
