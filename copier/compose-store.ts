/** Builds the copier's side of the store: its two instances, and what repositories share in it. */
import { CircuitBreaker } from '../platform/circuit-breaker.ts';
import { systemClock } from '../platform/clock.ts';
import { StoreAuthenticator } from '../registry/transport/auth/store-login.ts';
import { storePolicies } from '../registry/transport/http/connection-policy.ts';
import { createConnections } from '../registry/transport/http/connector.ts';
import { storePlace } from '../registry/transport/settings/store-place.ts';
import {
  settingsFor,
  type UpstreamSettingsSource,
} from '../registry/transport/settings/upstream-settings.ts';
import { Transport } from '../registry/transport/transport.ts';
import { SharedBlobs } from './store/shared-blobs.ts';
import { Store, type StoreSide } from './store/store.ts';
import type { CopierWorld } from './world.ts';

const STORE_CONNECT_MS = 1_000;
/** A write is answered only when all bytes are on the volume. */
const STORE_WRITE_HEAD_MS = 60_000;

export interface StoreParts {
  readonly transport: Transport;
  readonly store: Store;
  readonly sharedBlobs: SharedBlobs;
}

export function composeStore({ settings, upstreams, log, signal }: CopierWorld): StoreParts {
  const transport = new Transport(
    createConnections(storePolicies(upstreams), { connectMs: STORE_CONNECT_MS }),
    { headMs: STORE_WRITE_HEAD_MS, silenceMs: settings.silenceDeadline },
  );
  const access = { transport, upstreams };
  const store = new Store({
    transport,
    reader: storeSide('reader', settings.storeReaderUrl, settings.storeReaderLogin, access),
    writer: storeSide('writer', settings.storeWriterUrl, settings.storeWriterLogin, access),
    breaker: new CircuitBreaker({ failureThreshold: 1, openMs: 5_000, maxOpenMs: 30_000, probeMs: 10_000 }),
    now: systemClock.monotonic,
    headMs: settings.storeDeadline,
  });
  return { transport, store, sharedBlobs: new SharedBlobs({ store, log, signal }) };
}

function storeSide<N extends 'reader' | 'writer'>(
  name: N,
  given: URL,
  login: string | undefined,
  { transport, upstreams }: { readonly transport: Transport; readonly upstreams: UpstreamSettingsSource },
): StoreSide & { readonly name: N } {
  const { url, prefix } = storePlace(given);
  const { origin } = url;
  const { tokenHosts = [] } = settingsFor(upstreams.get(), url.host) ?? {};
  const tokens = { endpoint: { origin, tokenHosts }, server: transport.tokenServer };
  return { name, origin, prefix, authenticator: new StoreAuthenticator(login, tokens) };
}
