/**
 * Keeps connections to the copier open, and verifies it with Larder's own CA, also after that has changed.
 */
import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import type { FileValue } from '../../platform/file-watch.ts';

/** @param serverName the name in the copier's certificate, whatever address it is reached at */
export function copierAgent(
  url: URL,
  serverName: string | undefined,
  ca: FileValue<string>,
): () => HttpAgent {
  if (url.protocol === 'http:') {
    const plain = new HttpAgent({ keepAlive: true });
    return () => plain;
  }
  const make = (certificates: string): HttpsAgent =>
    new HttpsAgent({
      keepAlive: true,
      minVersion: 'TLSv1.2',
      ...(certificates === '' ? {} : { ca: certificates }),
      ...(serverName === undefined ? {} : { servername: serverName }),
    });
  let agent = make(ca.get());
  ca.subscribe((certificates) => {
    // Transfers under way keep the old agent's connections; idle ones time out.
    agent = make(certificates);
  });
  return () => agent;
}
