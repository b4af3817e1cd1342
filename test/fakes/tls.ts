/** A certificate for servers of tests, as if it had been read from mounted files that never change. */
import { FileValue } from '../../platform/file-watch.ts';
import { silentLogger } from '../../platform/log.ts';
import type { TlsKeyPair } from '../../platform/tls-files.ts';
import type { KeyPairPem } from '../../platform/x509.ts';

export function fixedTls({ cert, key }: KeyPairPem): Promise<FileValue<TlsKeyPair>> {
  const parse = (): TlsKeyPair => ({ cert: Buffer.from(cert), key: Buffer.from(key) });
  return FileValue.read({ paths: [], log: silentLogger, parse });
}
