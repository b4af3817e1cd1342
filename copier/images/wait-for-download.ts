/** Waits until the store has what a download brings, for an order or a pull, and reports its progress. */
import { unlessAborted } from '../../platform/unless-aborted.ts';
import type { OngoingDownload } from '../download/downloads.ts';

const REPORT_MS = 250;

/**
 * Resolves when the blob is in the store. The download goes on when the caller gives up: others may wait
 * for it, and what it has fetched is not lost.
 * @param report told of the bytes that came since the last report
 * @throws RegistryError, or the signal's reason
 */
export async function waitForDownload(
  { opened, stored }: OngoingDownload,
  report: (bytes: number) => void,
  signal: AbortSignal,
): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  try {
    const { file } = await unlessAborted(opened, signal);
    let reported = 0;
    timer = setInterval(() => {
      report(file.written - reported);
      reported = file.written;
    }, REPORT_MS);
    await unlessAborted(stored, signal);
  } finally {
    clearInterval(timer);
  }
}
