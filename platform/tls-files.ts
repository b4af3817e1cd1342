/** A serving certificate from mounted files, read again whenever it is rotated. */
import { createSecureContext } from 'node:tls';
import { join } from 'node:path';
import { FileValue } from './file-watch.ts';
import type { Logger } from './log.ts';

export interface TlsKeyPair {
  /** PEM, the leaf first. */
  readonly cert: Buffer;
  /** PEM. */
  readonly key: Buffer;
}

/**
 * Reads `tls.crt` and `tls.key` in a folder (a mounted `kubernetes.io/tls` Secret).
 * @throws when one is missing, or the key does not belong to the certificate
 */
export function readTlsFolder(folder: string, log: Logger): Promise<FileValue<TlsKeyPair>> {
  return FileValue.read({
    paths: [join(folder, 'tls.crt'), join(folder, 'tls.key')],
    log,
    parse: ([cert, key]) => {
      if (!cert || !key) throw new Error(`${folder} does not hold tls.crt and tls.key`);
      // Throws on a mismatch: while only one of the files has been swapped, the former pair stays in use.
      createSecureContext({ cert, key });
      return { cert, key };
    },
  });
}
