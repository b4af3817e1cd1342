/** Writes whose memory can be used again. */
import type { Writable } from 'node:stream';

/**
 * Resolves once the bytes have left us.
 * @param failure what is thrown when they do not: given the error of the write, or nothing when the other side has gone, which Node does not
 * always tell who waits for a write
 */
export function written(
  to: Writable,
  bytes: Uint8Array | string,
  failure: (error?: Error) => Error,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const onClose = (): void => {
      reject(failure());
    };
    to.once('close', onClose);
    to.write(bytes, (error) => {
      to.off('close', onClose);
      if (error) reject(failure(error));
      else resolve();
    });
    if (to.closed) onClose();
  });
}
