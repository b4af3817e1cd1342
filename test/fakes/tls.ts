/** A fixed certificate for test servers, in place of one that is read from mounted files. */
import { FileValue } from '../../platform/file-watch.ts';
import { silentLogger } from '../../platform/log.ts';
import type { TlsKeyPair } from '../../platform/tls-files.ts';
import type { KeyPairPem } from '../../platform/x509.ts';

export function fixedTls({ cert, key }: KeyPairPem): Promise<FileValue<TlsKeyPair>> {
  const parse = (): TlsKeyPair => ({ cert: Buffer.from(cert), key: Buffer.from(key) });
  return FileValue.read({ paths: [], log: silentLogger, parse });
}
