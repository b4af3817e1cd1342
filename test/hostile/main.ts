/**
 * The hostile registry as a program. Each fault has a port of its own, so that clients take each for a
 * separate registry.
 */
import { readFileSync } from 'node:fs';
import { createServer as createPlainServer, type Server } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { HostileRegistry } from './registry.ts';

interface CertificatePaths {
  readonly cert: string;
  readonly key: string;
}

export interface HostileSettings {
  readonly deadHost: string;
  /** For plain HTTP; the first also takes orders. */
  readonly ports: readonly number[];
  /** Refuses connections once armed. */
  readonly refusingPort: number;
  /** Presents the second certificate once armed. */
  readonly tls: { readonly port: number; readonly good: CertificatePaths; readonly armed: CertificatePaths };
}

const settings = JSON.parse(process.argv[2] ?? '') as HostileSettings;

function read({ cert, key }: CertificatePaths): { cert: Buffer; key: Buffer } {
  return { cert: readFileSync(cert), key: readFileSync(key) };
}

const registry = new HostileRegistry(settings.deadHost, (armed) => {
  secure.setSecureContext(read(armed ? settings.tls.armed : settings.tls.good));
  // Open connections would not notice the change.
  secure.closeAllConnections();
  if (armed) {
    refusing.close();
    refusing.closeAllConnections();
  } else if (!refusing.listening) {
    refusing.listen(settings.refusingPort);
  }
});
const secure = createTlsServer(read(settings.tls.good), registry.handle).listen(settings.tls.port);
const refusing: Server = createPlainServer(registry.handle).listen(settings.refusingPort);
for (const port of settings.ports.toReversed()) createPlainServer(registry.handle).listen(port);
