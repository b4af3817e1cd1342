/** Reads a small image through the proxy's own port now and then: a proxy that cannot is not ready, and pods are not sent to it. */
import { Agent, request } from 'node:http';
import { buffer } from 'node:stream/consumers';
import { SELF_TEST_IMAGE } from '../api/self-test.ts';
import type { Clock } from '../platform/clock.ts';
import { withDeadline } from '../platform/deadline.ts';
import type { Logger } from '../platform/log.ts';
import { loop, type Component } from '../platform/run.ts';

/** A store that is started anew is not an outage. */
const FAILURES_ALLOWED = 1;
const RETRY_MS = 2_000;

export interface SelfTestOptions {
  /** Of the proxy on 127.0.0.1. */
  readonly port: () => number;
  readonly intervalMs: number;
  readonly deadlineMs: number;
  readonly clock: Clock;
  readonly log: Logger;
}

export class SelfTest {
  private readonly options: SelfTestOptions;
  /** Undefined once an image was read, and as long as reading it did not fail twice in a row. */
  private trouble: string | undefined = 'no image was read through the proxy yet';

  constructor(options: SelfTestOptions) {
    this.options = options;
  }

  /** For readiness: why pods should not be sent here. */
  problem(): string | undefined {
    return this.trouble;
  }

  component(): Component {
    const { clock, intervalMs, log } = this.options;
    return loop('self-test', async (signal) => {
      for (let failures = 0; ;) {
        try {
          await this.run(signal);
          if (this.trouble !== undefined) log.info('self-test passed');
          this.trouble = undefined;
          failures = 0;
        } catch (error) {
          signal.throwIfAborted();
          failures += 1;
          if (failures === FAILURES_ALLOWED + 1) log.warn('self-test failed', { error });
          if (failures > FAILURES_ALLOWED)
            this.trouble = `no image can be read through the proxy: ${error instanceof Error ? error.message : ''}`;
        }
        await clock.sleep(failures > 0 ? Math.min(RETRY_MS, intervalMs) : intervalMs, signal);
      }
    });
  }

  /** @throws when the image does not come back byte for byte in time */
  private async run(signal: AbortSignal): Promise<void> {
    const { port, deadlineMs } = this.options;
    const { repository, manifest, blob } = SELF_TEST_IMAGE;
    await withDeadline('the self-test', deadlineMs, signal, async (inTime) => {
      for (const [kind, { digest, bytes }] of [
        ['manifests', manifest],
        ['blobs', blob],
      ] as const) {
        const got = await get(port(), `/v2/${repository}/${kind}/${digest}`, inTime);
        if (!got.equals(bytes)) throw new Error(`the ${kind} of the self-test image came back changed`);
      }
    });
  }
}

function get(port: number, path: string, signal: AbortSignal): Promise<Buffer> {
  // A connection of its own each time: what is tested includes that the port answers.
  const options = { host: '127.0.0.1', port, path, signal, agent: new Agent(), headers: { accept: '*/*' } };
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
