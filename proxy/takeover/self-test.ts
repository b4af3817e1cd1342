/** Reads a small image through the proxy's own door now and then: a proxy that cannot is not ready, and pods are not sent to it. */
import { Agent, request } from 'node:http';
import { buffer } from 'node:stream/consumers';
import { SELF_TEST_IMAGE } from '../../api/self-test.ts';
import type { Clock } from '../../platform/clock.ts';
import { withDeadline } from '../../platform/deadline.ts';
import type { Logger } from '../../platform/log.ts';
import { loop, type Component } from '../../platform/run.ts';

/** A store that is started anew is not an outage. */
const FAILURES_ALLOWED = 1;
const RETRY_MS = 2_000;
// Anything at all is no consent to this kind of manifest: CNCF distribution then answers 404.
const ACCEPT = `${SELF_TEST_IMAGE.manifest.mediaType}, */*`;

export interface SelfTestOptions {
  /** Path of a socket at which this proxy and no other answers. */
  readonly door: string;
  readonly intervalMs: number;
  readonly deadlineMs: number;
  /** Called when an image was read through this proxy for the first time. */
  readonly onProven?: () => void;
  readonly clock: Clock;
  readonly log: Logger;
}

export class SelfTest {
  readonly #options: SelfTestOptions;
  /** Undefined once an image was read, and as long as reading it did not fail twice in a row. */
  #trouble: string | undefined = 'no image was read through the proxy yet';

  constructor(options: SelfTestOptions) {
    this.#options = options;
  }

  /** For readiness: why pods should not be sent here. */
  problem(): string | undefined {
    return this.#trouble;
  }

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
          if (!proven) onProven?.();
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
    const { door, deadlineMs } = this.#options;
    const { repository, manifest, blob } = SELF_TEST_IMAGE;
    await withDeadline('the self-test', deadlineMs, signal, async (inTime) => {
      for (const [kind, { digest, bytes }] of [
        ['manifests', manifest],
        ['blobs', blob],
      ] as const) {
        const got = await get(door, `/v2/${repository}/${kind}/${digest}`, inTime);
        if (!got.equals(bytes)) throw new Error(`the ${kind} of the self-test image came back changed`);
      }
    });
  }
}

function get(socketPath: string, path: string, signal: AbortSignal): Promise<Buffer> {
  // A connection of its own each time: what is tested includes that the proxy takes new ones.
  const options = { socketPath, path, signal, agent: new Agent(), headers: { accept: ACCEPT } };
  return new Promise((resolve, reject) => {
    const call = request(options, (answer) => {
      if (answer.statusCode === 200) buffer(answer).then(resolve, reject);
      else {
        answer.resume();
        reject(new Error(`the answer was ${String(answer.statusCode)}`));
      }
    });
    call.on('error', reject);
    call.end();
  });
}
