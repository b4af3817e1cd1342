/**
 * Reads a small image through the proxy's own socket at intervals. A proxy that cannot is not ready, and Pods
 * that need it are not rewritten.
 */
import { Agent, request } from 'node:http';
import { buffer } from 'node:stream/consumers';
import { SELF_TEST_IMAGE } from '../../api/self-test.ts';
import type { Clock } from '../../platform/clock.ts';
import { withDeadline } from '../../platform/deadline.ts';
import type { Logger } from '../../platform/log.ts';
import { loop, type Component } from '../../platform/run.ts';

/** One failure in a row does not count: the store may only be restarting. */
const FAILURES_ALLOWED = 1;
const RETRY_MS = 2_000;
// `*/*` alone does not accept this kind of manifest: CNCF distribution then answers 404.
const ACCEPT = `${SELF_TEST_IMAGE.manifest.mediaType}, */*`;

export interface SelfTestOptions {
  /** Path of the socket at which this proxy and no other answers. */
  readonly socketPath: string;
  readonly intervalMs: number;
  readonly deadlineMs: number;
  /** Called when the image has been read for the first time. Must not throw. */
  readonly onProven?: () => Promise<void>;
  readonly clock: Clock;
  readonly log: Logger;
}

export class SelfTest {
  readonly #options: SelfTestOptions;
  /** Undefined while the image can be read. */
  #trouble: string | undefined = 'no image was read through the proxy yet';

  constructor(options: SelfTestOptions) {
    this.#options = options;
  }

  /** Why images should not be pulled through here; undefined when they may. */
  readonly problem = (): string | undefined => this.#trouble;

  readonly passes = (): boolean => this.#trouble === undefined;

  component(): Component {
    const { clock, intervalMs, log, onProven } = this.#options;
    let proven = false;
    return loop('self-test', async (signal) => {
      for (let failures = 0; ;) {
        try {
          await this.#run(signal);
          if (this.#trouble !== undefined) log.info('self-test passed');
          this.#trouble = undefined;
          failures = 0;
          if (!proven) void onProven?.();
          proven = true;
        } catch (error) {
          signal.throwIfAborted();
          failures += 1;
          if (failures === FAILURES_ALLOWED + 1) log.warn('self-test failed', { error });
          if (failures > FAILURES_ALLOWED)
            this.#trouble = `no image can be read through the proxy: ${error instanceof Error ? error.message : ''}`;
        }
        await clock.sleep(failures > 0 ? Math.min(RETRY_MS, intervalMs) : intervalMs, signal);
      }
    });
  }

  /** @throws when the image does not come back byte for byte in time */
  async #run(signal: AbortSignal): Promise<void> {
    const { socketPath, deadlineMs } = this.#options;
    const { repository, manifest, blob } = SELF_TEST_IMAGE;
    await withDeadline('the self-test', deadlineMs, signal, async (inTime) => {
      for (const [kind, { digest, bytes }] of [
        ['manifests', manifest],
        ['blobs', blob],
      ] as const) {
        const got = await get(socketPath, `/v2/${repository}/${kind}/${digest}`, inTime);
        if (!got.equals(bytes)) throw new Error(`the ${kind} of the self-test image came back changed`);
      }
    });
  }
}

function get(socketPath: string, path: string, signal: AbortSignal): Promise<Buffer> {
  // A new connection each time: whether the proxy accepts one is part of the test.
  const options = { socketPath, path, signal, agent: new Agent(), headers: { accept: ACCEPT } };
  return new Promise((resolve, reject) => {
    const call = request(options, (response) => {
      if (response.statusCode === 200) buffer(response).then(resolve, reject);
      else {
        response.resume();
        reject(new Error(`the status was ${String(response.statusCode)}`));
      }
    });
    call.on('error', reject);
    call.end();
  });
}
