/** Builds the copier's parts from its settings and the two worlds it stands between. */
import { CircuitBreaker } from '../platform/circuit-breaker.ts';
import { systemClock } from '../platform/clock.ts';
import type { ConfigOf } from '../platform/config.ts';
import type { Logger } from '../platform/log.ts';
import { storePolicies, upstreamPolicies } from '../registry/transport/http/connection-policy.ts';
import { createConnections } from '../registry/transport/http/connector.ts';
import { StoreAuthenticator } from '../registry/transport/auth/store-login.ts';
import type { OutboundProxies } from '../registry/transport/http/outbound-proxy.ts';
import { Pace } from '../registry/transport/pace.ts';
import { Transport } from '../registry/transport/transport.ts';
import { storePlace } from '../registry/transport/settings/store-place.ts';
import {
  settingsFor,
  type UpstreamSettingsSource,
} from '../registry/transport/settings/upstream-settings.ts';
import { BlobFlights } from './download/downloads.ts';
import { Blobs } from './images/blobs.ts';
import { Completion } from './images/completion.ts';
import type { copierConfig } from './config.ts';
import { Keyring, type PullSecretSource } from './upstream/keyring.ts';
import { Lists } from './images/lists.ts';
import { Manifests, type PullTarget } from './images/manifests.ts';
import { Orders } from './images/orders.ts';
import { Outages } from './upstream/outages.ts';
import { FreshTags, RecentManifests } from './images/recent.ts';
import type { UpstreamRepository } from './upstream/upstream-repository.ts';
import { PullPolicies } from './images/pull-policies.ts';
import type { PolicyRecord } from '../api/policy-records.ts';
import { Shelves } from './store/shared-blobs.ts';
import { Spool } from './download/spool.ts';
import { Store, type StoreSide } from './store/store.ts';
import { Turns } from './upstream/host-limiter.ts';
import { Upstreams } from './upstream/upstreams.ts';

export type CopierSettings = Omit<
  ConfigOf<typeof copierConfig>,
  | 'listen'
  | 'metricsListen'
  | 'tlsFolder'
  | 'readers'
  | 'operators'
  | 'kubeconfig'
  | 'upstreamsFile'
  | 'fullname'
  | 'podAddress'
>;

export interface CopierWorld {
  readonly settings: CopierSettings;
  readonly upstreams: UpstreamSettingsSource;
  /** HTTP proxies of the site. */
  readonly proxies?: OutboundProxies;
  readonly secrets: PullSecretSource;
  readonly policies: () => Iterable<PolicyRecord>;
  readonly log: Logger;
  /** Ends everything that outlives a single request. */
  readonly signal: AbortSignal;
}

export interface Copier {
  readonly manifests: Manifests;
  readonly blobs: Blobs;
  readonly lists: Lists;
  readonly orders: Orders;
  readonly flights: BlobFlights;
  readonly spool: Spool;
  readonly store: Store;
  close(): Promise<void>;
}

/** Manifests kept in memory, in bytes: what fifty nodes ask for at once is fetched once. */
const RECENT_BYTES = 16 * 2 ** 20;
/** Pods wait for a registry that has come back at most this long, in milliseconds. */
const MAX_OUTAGE_MS = 30_000;
const STORE_CONNECT_MS = 1_000;
const STORE_WRITE_HEAD_MS = 60_000;
const SECRET_STALE_MS = 10 * 60_000;

export function composeCopier(world: CopierWorld): Copier {
  const { settings, log, signal } = world;
  const now = systemClock.monotonic;
  const upstreamTransport = new Transport(
    createConnections(upstreamPolicies(world.upstreams), {
      connectMs: settings.connectDeadline,
      ...(world.proxies === undefined ? {} : { proxies: world.proxies }),
    }),
    { headMs: settings.responseDeadline, silenceMs: settings.silenceDeadline },
  );
  const storeTransport = new Transport(
    createConnections(storePolicies(world.upstreams), { connectMs: STORE_CONNECT_MS }),
    {
      headMs: STORE_WRITE_HEAD_MS,
      silenceMs: settings.silenceDeadline,
    },
  );
  const stores = { transport: storeTransport, upstreams: world.upstreams };
  const store = new Store({
    transport: storeTransport,
    reader: storeSide('reader', settings.storeReaderUrl, settings.storeReaderLogin, stores),
    writer: storeSide('writer', settings.storeWriterUrl, settings.storeWriterLogin, stores),
    breaker: new CircuitBreaker({ failureThreshold: 1, openMs: 5_000, maxOpenMs: 30_000, probeMs: 10_000 }),
    now,
    headMs: settings.storeDeadline,
  });
  const policies = new PullPolicies(world.policies, settings.freshFor);
  const keyring = new Keyring({
    source: world.secrets,
    publicSecret: (name) => {
      const secret = policies.secretName(name);
      const { namespace } = settings;
      return secret === undefined || namespace === undefined ? undefined : { namespace, name: secret };
    },
    freshForMs: settings.secretFreshFor,
    staleForMs: SECRET_STALE_MS,
    now,
    log,
  });
  const upstreams = new Upstreams({
    transport: upstreamTransport,
    settings: world.upstreams,
    pace: new Pace({ defaultPauseMs: settings.limitPause, maxPauseMs: settings.maxLimitPause, now }),
    turns: new Turns(settings.upstreamTransfers),
    outages: new Outages({
      breaker: new CircuitBreaker({
        // One alone may be a packet that got lost.
        failureThreshold: 2,
        openMs: settings.upstreamPause,
        maxOpenMs: Math.max(MAX_OUTAGE_MS, settings.upstreamPause),
        probeMs: settings.responseDeadline,
      }),
      now,
    }),
  });
  const upstream = async (
    { cached }: PullTarget,
    reference: string | undefined,
    callSignal: AbortSignal,
  ): Promise<UpstreamRepository> =>
    upstreams.repository(cached, await keyring.login(cached, reference, callSignal));
  const spool = new Spool(settings.spoolFolder, settings.spoolLimit);
  const shelves = new Shelves({ store, log, signal });
  const flights = new BlobFlights({
    spool,
    sink: {
      put: async (key, size, content, putSignal) => {
        await store.put(key, size, content, putSignal);
        await shelves.add(key);
      },
    },
    resume: { tries: 5, pauseMs: 200 },
    commitBackoff: { baseMs: 500, maxMs: 10_000 },
    commitPatienceMs: settings.commitPatience,
    log,
    signal,
  });
  const recent = new RecentManifests(RECENT_BYTES);
  const blobs = new Blobs({
    store,
    flights,
    shelves,
    isReferred: (repository, digest) => recent.refersTo(repository, digest),
    keeps: ({ cached }) => policies.keeps(cached),
    upstream: (target, callSignal) => upstream(target, undefined, callSignal),
    log,
    signal,
  });
  const completion = new Completion({
    store,
    fetchBlob: (target, digest) => blobs.fetch(target, digest),
    parallelBlobs: settings.parallelBlobs,
    log,
    signal,
  });
  const manifests = new Manifests({
    store,
    upstream,
    onFetched: (target, fetched) => {
      if (policies.keeps(target.cached)) completion.accept(target, fetched);
    },
    recent,
    fresh: new FreshTags(now),
    freshForMs: (name) => policies.freshForMs(name),
    breaker: new CircuitBreaker({
      failureThreshold: 1,
      openMs: settings.upstreamPause,
      maxOpenMs: Math.max(120_000, settings.upstreamPause),
      probeMs: 10_000,
    }),
    revalidateMs: settings.revalidateDeadline,
    now,
    log,
    signal,
  });
  const orders = new Orders({
    store,
    blobs,
    manifests,
    keyring,
    upstream,
    parallelBlobs: settings.parallelBlobs,
  });
  const lists = new Lists({
    store,
    upstream: (target, callSignal) => upstream(target, undefined, callSignal),
    log,
  });
  return {
    manifests,
    blobs,
    lists,
    orders,
    flights,
    spool,
    store,
    close: async () => {
      await Promise.all([upstreamTransport.close(), storeTransport.close(), spool.close()]);
    },
  };
}

function storeSide<N extends 'reader' | 'writer'>(
  name: N,
  given: URL,
  login: string | undefined,
  { transport, upstreams }: { transport: Transport; upstreams: UpstreamSettingsSource },
): StoreSide & { readonly name: N } {
  const { url, prefix } = storePlace(given);
  const { origin } = url;
  const { tokenHosts = [] } = settingsFor(upstreams.get(), url.host) ?? {};
  const tokens = { endpoint: { origin, tokenHosts }, server: transport.tokenServer };
  return { name, origin, prefix, authenticator: new StoreAuthenticator(login, tokens) };
}
