/** Writing from memory that is used again afterwards. */
import type { Writable } from 'node:stream';

/**
 * Resolves once the kernel has taken the bytes.
 * @param failure makes the error to throw: from the error of the write, or from nothing when the other side
 * has gone, in which case Node may never call a write's callback
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
