/** Follows a blob's flight for an order: how many bytes have come, and when the store has it. */
import { unlessAborted } from '../../platform/unless-aborted.ts';
import type { Flight } from '../download/downloads.ts';

const REPORT_MS = 250;

/**
 * Resolves when the blob is in the store. The flight goes on when the order is cancelled: others may wait for it, and what it
 * brings is not lost.
 * @param report told of bytes that have come since it was told last
 * @throws RegistryError, or the signal's reason
 */
export async function followFlight(
  flight: Flight,
  report: (bytes: number) => void,
  signal: AbortSignal,
): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  try {
    const { file } = await unlessAborted(flight.opened, signal);
    let told = 0;
    timer = setInterval(() => {
      report(file.written - told);
      told = file.written;
    }, REPORT_MS);
    await unlessAborted(flight.stored, signal);
  } finally {
    clearInterval(timer);
  }
}
