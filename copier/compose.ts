/** Puts the copier's parts together, between the upstream registries and the store. */
import { CircuitBreaker } from '../platform/circuit-breaker.ts';
import { systemClock } from '../platform/clock.ts';
import type { Transport } from '../registry/transport/transport.ts';
import { composeStore } from './compose-store.ts';
import { composeUpstreams } from './compose-upstreams.ts';
import { Downloads } from './download/downloads.ts';
import { Spool } from './download/spool.ts';
import { BlobSharing } from './images/blob-sharing.ts';
import { Blobs } from './images/blobs.ts';
import { Completion } from './images/completion.ts';
import { Lists } from './images/lists.ts';
import { Manifests } from './images/manifests.ts';
import { Orders } from './orders/orders.ts';
import { FreshTags, RecentManifests } from './images/recent.ts';
import { SharingSink } from './store/sharing-sink.ts';
import type { Store } from './store/store.ts';
import type { CopierOptions } from './options.ts';

/**
 * Manifests kept in memory, in bytes: what fifty nodes ask for at once is fetched once. They also prove which
 * shared blobs a repository may be given, see `RecentManifests`.
 */
const RECENT_BYTES = 16 * 2 ** 20;
/** A cached tag is served without asking a registry that is down for at most this long, in milliseconds. */
const MAX_TAG_OUTAGE_MS = 120_000;

/** Works from the moment that it is made. */
export class Copier {
  readonly store: Store;
  readonly spool: Spool;
  readonly downloads: Downloads;
  readonly blobs: Blobs;
  readonly manifests: Manifests;
  readonly lists: Lists;
  readonly orders: Orders;
  readonly #transports: readonly Transport[];

  constructor(options: CopierOptions) {
    const { settings, log, signal } = options;
    const { parallelBlobs } = settings;
    const now = systemClock.monotonic;
    const { store, sharedBlobs, ...toStore } = composeStore(options);
    const { policies, keyring, upstreams, ...toUpstreams } = composeUpstreams(options);
    const spool = new Spool(settings.spoolFolder, settings.spoolLimit);
    const downloads = new Downloads({
      spool,
      sink: new SharingSink(store, sharedBlobs),
      resume: { tries: 5, pauseMs: 200 },
      commitBackoff: { baseMs: 500, maxMs: 10_000 },
      commitPatienceMs: settings.commitPatience,
      log,
      signal,
    });
    const recent = new RecentManifests(RECENT_BYTES);
    const sharing = new BlobSharing({ downloads, sharedBlobs });
    const blobs = new Blobs({ store, downloads, sharing, recent, policies, upstreams, log, signal });
    const completion = new Completion({ store, blobs, policies, parallelBlobs, log, signal });
    const manifests = new Manifests({
      store,
      upstreams,
      completion,
      recent,
      policies,
      freshTags: new FreshTags(now),
      breaker: new CircuitBreaker({
        failureThreshold: 1,
        openMs: settings.upstreamPause,
        maxOpenMs: Math.max(MAX_TAG_OUTAGE_MS, settings.upstreamPause),
        probeMs: 10_000,
      }),
      revalidateMs: settings.revalidateDeadline,
      now,
      log,
      signal,
    });
    this.store = store;
    this.spool = spool;
    this.downloads = downloads;
    this.blobs = blobs;
    this.manifests = manifests;
    this.lists = new Lists({ store, upstreams, log });
    this.orders = new Orders({ store, blobs, manifests, keyring, upstreams, parallelBlobs });
    this.#transports = [toStore.transport, toUpstreams.transport];
  }

  /** Closes connections and files. Ends no download: wait for them, or abort the signal, before. */
  async close(): Promise<void> {
    await Promise.all([...this.#transports.map((transport) => transport.close()), this.spool.close()]);
  }
}
