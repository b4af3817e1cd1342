/** A serving certificate from mounted files, taken up anew whenever it is rotated. */
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
 * Reads `tls.crt` and `tls.key` of a folder (a mounted `kubernetes.io/tls` Secret).
 * @throws when one is missing, or when they are no certificate and key that belong together
 */
export function readTlsFolder(folder: string, log: Logger): Promise<FileValue<TlsKeyPair>> {
  return FileValue.read({
    paths: [join(folder, 'tls.crt'), join(folder, 'tls.key')],
    log,
    parse: ([cert, key]) => {
      if (!cert || !key) throw new Error(`${folder} holds no tls.crt and tls.key`);
      createSecureContext({ cert, key }); // a mismatch while only one file was swapped must not replace a good pair
      return { cert, key };
    },
  });
}
