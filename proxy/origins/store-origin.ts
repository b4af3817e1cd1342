/** The store as an origin: Larder's own reader, or another registry in its place. */
import { storePolicies } from '../../registry/transport/http/connection-policy.ts';
import { createConnections } from '../../registry/transport/http/connector.ts';
import { storeEndpoint } from '../../registry/transport/store-endpoint.ts';
import { Transport } from '../../registry/transport/transport.ts';
import type { UpstreamSettingsSource } from '../../registry/transport/settings/upstream-settings.ts';
import { Peer } from './peer.ts';
import { PeerOrigin } from './peer-origin.ts';
import { storeAgent } from './store-agent.ts';
import { StoreCredentials } from './store-credentials.ts';

export interface StoreOriginOptions {
  /** Perhaps with a path, see `storePlace`. */
  readonly url: URL;
  /** Folder with the login; undefined when the store asks for none. */
  readonly login: string | undefined;
  /**
   * How long it may take to begin its response, in milliseconds. It has what it serves at hand, so that is
   * its sign of life too.
   */
  readonly deadlineMs: number;
  /** Has the CA and the token server's hosts of another registry. */
  readonly upstreams: UpstreamSettingsSource;
}

export function storeOrigin({ url: given, login, deadlineMs, upstreams }: StoreOriginOptions): PeerOrigin {
  // For the token server of another registry alone: images go by the peer.
  const connections = createConnections(storePolicies(upstreams), { connectMs: deadlineMs });
  const transport = new Transport(connections, { headMs: deadlineMs, silenceMs: deadlineMs });
  const { tokenServer } = transport;
  const endpoint = storeEndpoint({ url: given, login, upstreamSettings: upstreams, tokenServer });
  const { url, prefix, authenticator } = endpoint;
  const peer = new Peer({
    name: 'store',
    target: url,
    prefix,
    deadlines: { signMs: deadlineMs, headMs: deadlineMs },
    agent: storeAgent(url, upstreams),
    credentials: new StoreCredentials(authenticator, prefix),
  });
  return new PeerOrigin('store', peer);
}
