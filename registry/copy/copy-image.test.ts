import { setImmediate } from 'node:timers/promises';
import { testImage, type TestImage, testIndex } from '../../test/fakes/images.ts';
import { FakeRegistry, type FakeRegistryOptions } from '../../test/fakes/registry.ts';
import { streamInto } from '../../test/fakes/stream-blobs.ts';
import { getVerifiedBlob } from '../client/blobs.ts';
import { getManifest } from '../client/manifests.ts';
import { RepositoryClient } from '../client/repository-client.ts';
import { parsePlatform } from '../core/platform.ts';
import { noAuthentication } from '../transport/auth/authenticator.ts';
import { createConnections } from '../transport/http/connector.ts';
import { Transport } from '../transport/transport.ts';
import { copyImage, type CopyOptions } from './copy-image.ts';
import type { CopyProgress } from './progress.ts';

const AMD64 = testImage(['amd64 layer', 'common layer']);
const ARM64 = testImage(['arm64 layer', 'common layer'], 'linux/arm64');
const INDEX = testIndex({ 'linux/amd64': AMD64, 'linux/arm64': ARM64 });
const ONLY_AMD64 = { platforms: [parsePlatform('linux/amd64')] };

let source: FakeRegistry;
let store: FakeRegistry;
let transport: Transport;

async function start(options: FakeRegistryOptions = {}): Promise<void> {
  source = await FakeRegistry.start();
  store = await FakeRegistry.start(options);
  transport = new Transport(
    createConnections(() => ({}), { connectMs: 500 }),
    { headMs: 1000, silenceMs: 2000 },
  );
}

afterEach(async () => {
  await transport.close();
  await source.close();
  await store.close();
});

function client(registry: FakeRegistry, repository: string): RepositoryClient {
  return new RepositoryClient({
    transport,
    origin: registry.origin,
    repository,
    authenticator: noAuthentication,
  });
}

function optionsFor(image: TestImage, more: Partial<CopyOptions> = {}): CopyOptions {
  source.repository('acme/app').add(image, 'v1');
  const upstream = client(source, 'acme/app');
  const destination = client(store, 'cached/app');
  return {
    readManifest: (reference, signal) => getManifest(upstream, reference, { signal }),
    reference: { tag: 'v1' },
    destination,
    tag: 'v1',
    transferBlob: streamInto({
      destination,
      fetchBlob: (blob, signal) => getVerifiedBlob(upstream, blob, signal),
    }),
    selection: { platforms: [] },
    signal: new AbortController().signal,
    ...more,
  };
}

const puts = (): string[] =>
  store.requests
    .filter(({ method, path }) => method === 'PUT' && path.includes('/manifests/'))
    .map(({ path }) => path);

describe('copyImage', () => {
  it('brings over an image, byte for byte, and says what it is', async () => {
    await start();
    const copied = await copyImage(optionsFor(AMD64));
    const cached = store.repository('cached/app');
    expect(cached.find({ tag: 'v1' })?.bytes).toEqual(AMD64.root.bytes);
    expect(new Set(cached.blobs.keys())).toEqual(new Set(AMD64.blobs.keys()));
    const blobBytes = [...AMD64.blobs.values()].reduce((sum, { byteLength }) => sum + byteLength, 0);
    expect(copied).toEqual({
      digest: AMD64.root.digest,
      sizeBytes: blobBytes + AMD64.root.bytes.byteLength,
      platforms: [parsePlatform('linux/amd64')],
      manifests: [AMD64.root.digest],
    });
  });

  it('puts children before parents and the tag last', async () => {
    await start();
    await copyImage(optionsFor(INDEX));
    const paths = [AMD64.root.digest, ARM64.root.digest, 'v1'].map(
      (end) => `/v2/cached/app/manifests/${end}`,
    );
    expect(puts()).toEqual(paths);
    const lastUpload = store.requests.findLastIndex(({ path }) => path.includes('/blobs/'));
    expect(store.requests.findIndex(({ path }) => path === paths[0])).toBeGreaterThan(lastUpload);
  });

  it('keeps an index whole when it copies one platform of it', async () => {
    await start();
    const copied = await copyImage(optionsFor(INDEX, { selection: ONLY_AMD64 }));
    const cached = store.repository('cached/app');
    expect(cached.find({ tag: 'v1' })?.bytes).toEqual(INDEX.root.bytes);
    expect(cached.manifests.has(ARM64.root.digest)).toBe(false);
    expect(new Set(cached.blobs.keys())).toEqual(new Set(AMD64.blobs.keys()));
    expect(copied).toMatchObject({ digest: INDEX.root.digest, platforms: ONLY_AMD64.platforms });
  });

  it('copies all platforms into a registry that refuses an index with absent children', async () => {
    await start({ sparseIndexes: false });
    const copied = await copyImage(optionsFor(INDEX, { selection: ONLY_AMD64 }));
    expect(store.repository('cached/app').manifests.size).toBe(3);
    expect(copied.platforms).toHaveLength(2);
  });

  it('does not send what the destination holds', async () => {
    await start();
    const options = optionsFor(AMD64);
    for (const [digest, bytes] of AMD64.blobs) store.repository('cached/app').blobs.set(digest, bytes);
    await copyImage(options);
    expect(store.count('POST')).toBe(0);
    expect(source.requests.filter(({ path }) => path.includes('/blobs/'))).toEqual([]);
  });

  it('mounts what another repository of the destination holds', async () => {
    await start();
    store.repository('other').add(AMD64);
    const destination = client(store, 'cached/app');
    const transferBlob = streamInto({
      destination,
      fetchBlob: () => {
        throw new Error('fetched a blob that could be mounted');
      },
      mountFrom: () => 'other',
    });
    await copyImage(optionsFor(AMD64, { destination, transferBlob }));
    expect(store.repository('cached/app').find({ tag: 'v1' })?.digest).toBe(AMD64.root.digest);
  });

  it('sends again what a collection took before the manifest came', async () => {
    await start();
    const options = optionsFor(AMD64);
    let collected = false;
    store.intercept = (request) => {
      if (request.method === 'PUT' && request.url?.includes('/manifests/') === true && !collected) {
        collected = true;
        store.repository('cached/app').blobs.clear();
      }
      return false;
    };
    await copyImage(options);
    expect(store.repository('cached/app').blobs.size).toBe(3);
    expect(puts()).toHaveLength(2);
  });

  it('gives up when the destination loses blobs for ever', async () => {
    await start();
    store.intercept = () => {
      store.repository('cached/app').blobs.clear();
      return false;
    };
    await expect(copyImage(optionsFor(AMD64))).rejects.toMatchObject({ code: 'MANIFEST_BLOB_UNKNOWN' });
    expect(store.repository('cached/app').tags.size).toBe(0);
  });

  it('stores nothing when upstream sends wrong bytes', async () => {
    await start();
    const options = optionsFor(AMD64);
    const blobs = source.repository('acme/app').blobs;
    for (const [digest, bytes] of blobs) blobs.set(digest, Buffer.alloc(bytes.byteLength, 'x'));
    await expect(copyImage(options)).rejects.toMatchObject({ reason: 'DigestMismatch' });
    expect(store.repository('cached/app').blobs.size).toBe(0);
    expect(puts()).toEqual([]);
  });

  it('stores nothing when upstream sends another manifest than its digest says', async () => {
    await start();
    const options = optionsFor(AMD64, { reference: { digest: AMD64.root.digest } });
    source
      .repository('acme/app')
      .manifests.set(AMD64.root.digest, { bytes: ARM64.root.bytes, mediaType: '' });
    await expect(copyImage(options)).rejects.toMatchObject({ reason: 'DigestMismatch' });
    expect(store.requests).toEqual([]);
  });

  it('passes on what upstream means', async () => {
    await start();
    const options = optionsFor(AMD64, { reference: { tag: 'absent' } });
    await expect(copyImage(options)).rejects.toMatchObject({ reason: 'NotFound', status: 404 });
  });

  it('counts bytes up to the total, never beyond', async () => {
    await start();
    const seen: CopyProgress[] = [];
    await copyImage(optionsFor(INDEX, { onProgress: (progress) => seen.push(progress) }));
    const total = [...INDEX.blobs.values()].reduce((sum, { byteLength }) => sum + byteLength, 0);
    expect(seen.at(-1)).toEqual({ completedBytes: total, totalBytes: total });
    expect(seen.every(({ completedBytes }) => completedBytes <= total)).toBe(true);
  });

  it('moves a few blobs at a time', async () => {
    await start();
    const image = testImage(Array.from({ length: 12 }, (_, index) => `layer ${index}`));
    let [running, most] = [0, 0];
    const { transferBlob, ...options } = optionsFor(image, { concurrency: 3 });
    await copyImage({
      ...options,
      transferBlob: async (blob, transfer) => {
        most = Math.max(most, ++running);
        await setImmediate();
        await transferBlob(blob, transfer);
        running--;
      },
    });
    expect(most).toBe(3);
  });

  it('stops when it is canceled, and tags nothing', async () => {
    await start();
    const controller = new AbortController();
    const options = optionsFor(INDEX, { signal: controller.signal });
    source.intercept = (request) => {
      if (request.url?.includes('/blobs/') !== true) return false;
      controller.abort();
      return true;
    };
    await expect(copyImage(options)).rejects.toMatchObject({ reason: 'Canceled' });
    expect(store.repository('cached/app').tags.size).toBe(0);
  });
});
