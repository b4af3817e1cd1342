/** Builds the copier's side of the store: its two instances, and what repositories share in it. */
import { CircuitBreaker } from '../platform/circuit-breaker.ts';
import { systemClock } from '../platform/clock.ts';
import { storePolicies } from '../registry/transport/http/connection-policy.ts';
import { createConnections } from '../registry/transport/http/connector.ts';
import { storeEndpoint, type StoreEndpoint } from '../registry/transport/store-endpoint.ts';
import { Transport } from '../registry/transport/transport.ts';
import { SharedBlobs } from './store/shared-blobs.ts';
import { Store } from './store/store.ts';
import type { CopierOptions } from './options.ts';

const STORE_CONNECT_MS = 1_000;
/** A write is answered only when all bytes are on the volume. */
const STORE_WRITE_HEAD_MS = 60_000;

export interface StoreParts {
  readonly transport: Transport;
  readonly store: Store;
  readonly sharedBlobs: SharedBlobs;
}

export function composeStore({ settings, upstreamSettings, log, signal }: CopierOptions): StoreParts {
  const transport = new Transport(
    createConnections(storePolicies(upstreamSettings), { connectMs: STORE_CONNECT_MS }),
    { headMs: STORE_WRITE_HEAD_MS, silenceMs: settings.silenceDeadline },
  );
  const { tokenServer } = transport;
  const endpoint = (url: URL, login: string | undefined): StoreEndpoint =>
    storeEndpoint({ url, login, upstreamSettings, tokenServer });
  const store = new Store({
    transport,
    reader: { name: 'reader', ...endpoint(settings.storeReaderUrl, settings.storeReaderLogin) },
    writer: { name: 'writer', ...endpoint(settings.storeWriterUrl, settings.storeWriterLogin) },
    breaker: new CircuitBreaker({ failureThreshold: 1, openMs: 5_000, maxOpenMs: 30_000, probeMs: 10_000 }),
    now: systemClock.monotonic,
    headMs: settings.storeDeadline,
  });
  return { transport, store, sharedBlobs: new SharedBlobs({ store, log, signal }) };
}
