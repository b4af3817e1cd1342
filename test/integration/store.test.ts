/** The store: who may do what, and what a collection leaves alone, with the real registry program. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { systemClock } from '../../platform/clock.ts';
import { silentLogger } from '../../platform/log.ts';
import { scrub } from '../../store/scrub.ts';
import { getBlob, headBlob } from '../../registry/client/blobs.ts';
import { deleteManifest, getManifest, putManifest } from '../../registry/client/manifests.ts';
import { uploadBlob } from '../../registry/client/upload.ts';
import { removeImage } from '../../registry/copy/remove-image.ts';
import { verifyImage } from '../../registry/copy/verify-image.ts';
import { digestOf } from '../../registry/core/digest.ts';
import { parsePlatform } from '../../registry/core/platform.ts';
import { waitFor } from '../cluster/wait.ts';
import { StoreBench } from '../envtest/store.ts';
import { testImage, testIndex } from '../fakes/images.ts';

const { signal } = new AbortController();
const MEBIBYTE = 1024 * 1024;
let store: StoreBench;

beforeAll(async () => {
  store = await StoreBench.start();
}, 600_000);
afterAll(() => store.stop());

async function* parts(...chunks: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  for (const chunk of chunks) yield await Promise.resolve(chunk);
}

describe('logins', () => {
  const image = testImage(['logins']);

  beforeAll(() => store.push('store/logins', image, 'v1'));

  it.each(['reader', 'writer'] as const)('whoever has none is refused by the %s', async (side) => {
    const read = getManifest(store.client(side, 'store/logins', 'nobody'), { tag: 'v1' }, { signal });
    await expect(read).rejects.toMatchObject({ reason: 'Unauthorized' });
  });

  it('either may read at the reader', async () => {
    for (const login of ['reader', 'writer'] as const) {
      const found = await getManifest(
        store.client('reader', 'store/logins', login),
        { tag: 'v1' },
        { signal },
      );
      expect(found.digest).toBe(image.root.digest);
    }
  });

  it.each(['reader', 'writer'] as const)(
    'the reader takes no writes, not even with the login of the %s',
    async (login) => {
      const client = store.client('reader', 'store/logins', login);
      await expect(putManifest(client, { tag: 'v2' }, image.root, signal)).rejects.toThrow();
      await expect(deleteManifest(client, { tag: 'v1' }, signal)).rejects.toThrow();
      const found = await getManifest(store.client('reader', 'store/logins'), { tag: 'v1' }, { signal });
      expect(found.digest).toBe(image.root.digest);
    },
  );

  it("the writer refuses the reader's login, for reading as for writing", async () => {
    const client = store.client('writer', 'store/logins', 'reader');
    await expect(getManifest(client, { tag: 'v1' }, { signal })).rejects.toMatchObject({
      reason: 'Unauthorized',
    });
    await expect(putManifest(client, { tag: 'v2' }, image.root, signal)).rejects.toMatchObject({
      reason: 'Unauthorized',
    });
  });

  it.each([
    ['nobody', 'nobody'],
    ['the reader', 'reader'],
  ] as const)('the supervisor takes no orders of %s', async (_, signer) => {
    const { lastCollection } = await store.status();
    const answer = await store.ask('POST', '/collect', signer);
    expect(answer.status).toBe(401);
    expect((await store.status()).lastCollection).toEqual(lastCollection);
  });
});

describe('a collection', () => {
  it('wins the space of what was removed', async () => {
    const layer = Buffer.alloc(4 * MEBIBYTE, 'space');
    await store.push('store/space', testImage([layer]), 'v1');
    await removeImage(store.client('writer', 'store/space'), { tag: 'v1' }, signal);
    const { lastCollection } = await store.collect();
    expect(lastCollection?.error).toBeUndefined();
    expect(lastCollection?.freedBytes).toBeGreaterThanOrEqual(4 * MEBIBYTE);
    expect(await headBlob(store.client('reader', 'store/space'), digestOf(layer), signal)).toBeUndefined();
  });

  it('leaves a sparse index, an anchored image, and what two repositories share', async () => {
    const [here, elsewhere] = [testImage(['here']), testImage(['elsewhere'], 'linux/arm64')];
    const index = testIndex({ 'linux/amd64': here, 'linux/arm64': elsewhere });
    await store.push('store/sparse', { ...index, blobs: here.blobs }, 'v1', new Set([elsewhere.root.digest]));
    const shared = testImage(['shared by two']);
    await store.push('store/one', shared, 'larder-anchor');
    await store.push('store/other', shared, 'v1');
    await removeImage(store.client('writer', 'store/other'), { tag: 'v1' }, signal);
    expect((await store.collect()).lastCollection?.error).toBeUndefined();
    const amd64 = { platforms: [parsePlatform('linux/amd64')] };
    expect(
      await verifyImage(store.client('reader', 'store/sparse'), { tag: 'v1' }, amd64, signal),
    ).toMatchObject({
      complete: true,
      digest: index.root.digest,
    });
    const all = { platforms: [] };
    expect(
      await verifyImage(store.client('reader', 'store/one'), { tag: 'larder-anchor' }, all, signal),
    ).toMatchObject({ complete: true });
  });

  it('goes on while the reader answers every one of the requests', async () => {
    const image = testImage([Buffer.alloc(MEBIBYTE, 'busy')]);
    await store.push('store/busy', image, 'v1');
    const [blob] = [...image.blobs]
      .filter(([, bytes]) => bytes.byteLength === MEBIBYTE)
      .map(([digest]) => digest);
    const client = store.client('reader', 'store/busy');
    let [asked, collecting, slowest] = [0, true, 0];
    const nodes = Array.from({ length: 4 }, async () => {
      while (collecting || asked < 200) {
        const began = performance.now();
        const { body } = await getBlob(client, blob ?? digestOf(Buffer.alloc(0)), { signal });
        let bytes = 0;
        for await (const chunk of body as AsyncIterable<Buffer>) bytes += chunk.byteLength;
        expect(bytes).toBe(MEBIBYTE);
        slowest = Math.max(slowest, performance.now() - began);
        asked += 1;
      }
    });
    await store.collect();
    collecting = false;
    await Promise.all(nodes);
    expect(asked).toBeGreaterThanOrEqual(200);
    expect(slowest).toBeLessThan(5_000);
  });

  it('breaks off an upload, which then succeeds when it is sent again', async () => {
    const client = store.client('writer', 'store/upload');
    const content = Buffer.from('sent in two parts');
    const digest = digestOf(content);
    const reached = Promise.withResolvers<undefined>();
    async function* slowly(): AsyncGenerator<Uint8Array> {
      yield content.subarray(0, 4);
      reached.resolve(undefined);
      await collected;
      yield content.subarray(4);
    }
    const upload = uploadBlob(client, { digest, size: content.byteLength, body: slowly(), signal }).then(
      () => 'done',
      () => 'broken off',
    );
    const collected = reached.promise.then(() => store.collect());
    expect((await collected).lastCollection?.error).toBeUndefined();
    await upload;
    await uploadBlob(client, { digest, size: content.byteLength, body: parts(content), signal });
    expect(await headBlob(store.client('reader', 'store/upload'), digest, signal)).toEqual({
      size: content.byteLength,
    });
  });
});

describe('the scrubber', () => {
  it('removes a blob that the volume has corrupted, which can then be stored again, and no other', async () => {
    const [sound, corrupt] = [testImage(['sound']), testImage(['corrupt'])];
    await store.push('store/scrub', sound, 'sound');
    await store.push('store/scrub', corrupt, 'corrupt');
    const digest = digestOf(Buffer.from('corrupt'));
    const hex = digest.slice('sha256:'.length);
    const root = `${store.folder}/data/registry`;
    writeFileSync(`${root}/docker/registry/v2/blobs/sha256/${hex.slice(0, 2)}/${hex}/data`, 'c0rrupt');
    const options = { root, bytesPerSecond: Infinity, clock: systemClock, log: silentLogger };
    expect(await scrub(options, signal)).toEqual([digest]);
    const reader = store.client('reader', 'store/scrub');
    expect(await headBlob(reader, digest, signal)).toBeUndefined();
    await store.push('store/scrub', corrupt, 'corrupt');
    for (const tag of ['sound', 'corrupt']) {
      expect(await verifyImage(reader, { tag }, { platforms: [] }, signal)).toMatchObject({ complete: true });
    }
    expect(await scrub(options, signal)).toEqual([]);
  });
});

describe('the supervisor', () => {
  it('starts the writer again when it is killed, while the reader goes on', async () => {
    const image = testImage(['killed']);
    await store.push('store/killed', image, 'v1');
    process.kill(writerProcess(), 'SIGKILL');
    const found = await getManifest(store.client('reader', 'store/killed'), { tag: 'v1' }, { signal });
    expect(found.digest).toBe(image.root.digest);
    await waitFor(
      'the writer comes back',
      async () => (await store.status()).writer.ready && store.restarts.includes('writer'),
      {
        deadlineMs: 15_000,
        intervalMs: 50,
      },
    );
    await store.push('store/killed', testImage(['after']), 'v2');
  });

  it('tells another volume by its id', async () => {
    const { volumeId } = await store.status();
    expect(volumeId).toMatch(/^[0-9a-f-]{36}$/);
    const other = await StoreBench.start();
    try {
      expect((await other.status()).volumeId).not.toBe(volumeId);
    } finally {
      await other.stop();
    }
  });
});

/** The registry that serves with the writer's configuration, among our own children. */
function writerProcess(): number {
  const folder = `${store.folder}/run/writer.json`;
  const found = readdirSync('/proc').find(
    (entry) => /^\d+$/.test(entry) && commandLine(entry).includes(folder),
  );
  if (found === undefined) throw new Error('the writer does not run');
  return Number(found);
}

function commandLine(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
  } catch {
    return '';
  }
}
