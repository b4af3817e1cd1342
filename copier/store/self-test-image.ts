/** Keeps the image in the store that the proxies test themselves with. */
import { SELF_TEST_IMAGE } from '../../api/self-test.ts';
import { backoffMs } from '../../platform/backoff.ts';
import type { Clock } from '../../platform/clock.ts';
import type { Logger } from '../../platform/log.ts';
import { loop, type Component } from '../../platform/run.ts';
import { parseManifest } from '../../registry/core/manifest.ts';
import type { Store } from './store.ts';

/** A store whose volume was lost has it again after this long. */
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

async function ensure(
  store: Pick<Store, 'getManifest' | 'hasBlob' | 'put' | 'putManifest'>,
  signal: AbortSignal,
): Promise<void> {
  const { repository, tag, manifest, blob } = SELF_TEST_IMAGE;
  const { bytes, digest, mediaType } = manifest;
  const stored = await store.getManifest(repository, { digest }, signal);
  const key = { repository, digest: blob.digest };
  if (stored && (await store.hasBlob(key, signal))) return;
  await store.put(key, blob.bytes.length, once(blob.bytes), signal);
  await store.putManifest(
    repository,
    { tag },
    { bytes, digest, manifest: parseManifest(bytes, mediaType) },
    signal,
  );
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield await Promise.resolve(bytes);
}
