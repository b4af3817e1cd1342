/** Connections to the store: plain to our own, TLS to a registry of the user's whose CA stands among the upstreams' settings. */
import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import { getCACertificates } from 'node:tls';
import { settingsFor, type UpstreamSettings } from '../registry/transport/upstream-settings.ts';

export function storeAgent(url: URL, upstreams: readonly UpstreamSettings[]): HttpAgent {
  if (url.protocol === 'http:') return new HttpAgent({ keepAlive: true });
  const { ca, insecureSkipVerify = false } = settingsFor(upstreams, url.host) ?? {};
  return new HttpsAgent({
    keepAlive: true,
    minVersion: 'TLSv1.2',
    rejectUnauthorized: !insecureSkipVerify,
    ...(ca === undefined ? {} : { ca: [...getCACertificates('default'), ca] }),
  });
}
