/** Follows a blob's flight for an order: how many bytes have come, and when the store has it. */
import type { Flight } from './blob-flights.ts';

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
  const cancelled = Promise.withResolvers<never>();
  const onAbort = (): void => {
    cancelled.reject(signal.reason as Error);
  };
  signal.throwIfAborted();
  signal.addEventListener('abort', onAbort, { once: true });
  let timer: NodeJS.Timeout | undefined;
  try {
    const { file } = await Promise.race([flight.opened, cancelled.promise]);
    let told = 0;
    timer = setInterval(() => {
      report(file.written - told);
      told = file.written;
    }, REPORT_MS);
    await Promise.race([flight.stored, cancelled.promise]);
  } finally {
    clearInterval(timer);
    signal.removeEventListener('abort', onAbort);
  }
}
