/** Keeps the image in the store with which the proxies test themselves. */
import { SELF_TEST_IMAGE } from '../../api/self-test.ts';
import { backoffMs } from '../../platform/backoff.ts';
import type { Clock } from '../../platform/clock.ts';
import type { Logger } from '../../platform/log.ts';
import { loop, type Component } from '../../platform/run.ts';
import { parseManifest } from '../../registry/core/manifest.ts';
import type { Store } from './store.ts';

/** A store that lost its volume has the image again after this long at most, in milliseconds. */
const EVERY_MS = 15_000;
const BACKOFF = { baseMs: 500, maxMs: 5_000 };

export function keepSelfTestImage(
  store: Pick<Store, 'getManifest' | 'hasBlob' | 'put' | 'putManifest'>,
  { clock, log }: { readonly clock: Clock; readonly log: Logger },
): Component {
  return loop('self-test image', async (signal) => {
    for (let failures = 0; ;) {
      try {
        await ensure(store, signal);
        failures = 0;
      } catch (error) {
        signal.throwIfAborted();
        log.debug('self-test image not stored', { error });
        failures += 1;
      }
      await clock.sleep(failures > 0 ? backoffMs(failures - 1, BACKOFF) : EVERY_MS, signal);
    }
  });
}

/** Puts the image into a repository, under its tag. @throws RegistryError */
export async function putSelfTestImage(
  store: Pick<Store, 'put' | 'putManifest'>,
  repository: string,
  signal: AbortSignal,
): Promise<void> {
  const { tag, manifest, blob } = SELF_TEST_IMAGE;
  const { bytes, digest, mediaType } = manifest;
  await store.put({ repository, digest: blob.digest }, blob.bytes.length, once(blob.bytes), signal);
  const stored = { bytes, digest, manifest: parseManifest(bytes, mediaType) };
  await store.putManifest(repository, { tag }, stored, signal);
}

async function ensure(
  store: Pick<Store, 'getManifest' | 'hasBlob' | 'put' | 'putManifest'>,
  signal: AbortSignal,
): Promise<void> {
  const { repository, manifest, blob } = SELF_TEST_IMAGE;
  const hasManifest = await store.getManifest(repository, { digest: manifest.digest }, signal);
  if (hasManifest && (await store.hasBlob({ repository, digest: blob.digest }, signal))) return;
  await putSelfTestImage(store, repository, signal);
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield await Promise.resolve(bytes);
}
