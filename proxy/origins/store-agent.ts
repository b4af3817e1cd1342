/**
 * Connections to the store: plain to Larder's own; over TLS to another registry, whose CA is in the
 * upstreams' settings.
 */
import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import { getCACertificates } from 'node:tls';
import {
  settingsFor,
  type UpstreamSettingsSource,
} from '../../registry/transport/settings/upstream-settings.ts';

/** @returns the agent for the next request, a new one when the settings have changed */
export function storeAgent(url: URL, upstreams: UpstreamSettingsSource): () => HttpAgent {
  if (url.protocol === 'http:') {
    const plain = new HttpAgent({ keepAlive: true });
    return () => plain;
  }
  const make = (settings = upstreams.get()): { settings: typeof settings; agent: HttpsAgent } => {
    const { ca, insecureSkipVerify = false } = settingsFor(settings, url.host) ?? {};
    const agent = new HttpsAgent({
      keepAlive: true,
      minVersion: 'TLSv1.2',
      rejectUnauthorized: !insecureSkipVerify,
      ...(ca === undefined ? {} : { ca: [...getCACertificates('default'), ca] }),
    });
    return { settings, agent };
  };
  let current = make();
  return () => {
    if (upstreams.get() !== current.settings) current = make();
    return current.agent;
  };
}
