/**
 * Watches the release's own store: orders a collection when it is worth one, and notices when its volume was
 * replaced.
 */
import type { StoreStatus } from '../../api/store-api.ts';
import type { Clock } from '../../platform/clock.ts';
import type { Logger } from '../../platform/log.ts';
import { type Component, loop } from '../../platform/run.ts';
import { type CollectionThresholds, type Garbage, isCollectionDue } from './collection.ts';
import type { StoreClient } from './client.ts';

export interface StoreKeeperOptions {
  readonly store: Pick<StoreClient, 'status' | 'collect'>;
  readonly thresholds: CollectionThresholds;
  /** How often to ask the store for its status, in milliseconds. */
  readonly everyMs: number;
  /** Called when the volume was replaced: all images may be gone. */
  readonly onOtherVolume: () => void;
  /** Throws unless we lead at this very moment. */
  readonly assertLeader: () => void;
  readonly clock: Clock;
  readonly log: Logger;
}

/** What former leaders removed is not known. Until the first collection it counts as this many bytes. */
const UNKNOWN_GARBAGE_BYTES = 1;
/** How often the store is asked for its status while a collection is awaited. */
const BUSY_MS = 2_000;

export class StoreKeeper {
  readonly #options: StoreKeeperOptions;
  #garbage: Garbage;
  /** As the store reported it last. */
  #status: StoreStatus | undefined;
  #isAsked = false;
  /** The start of the last collection when this leader ordered one; undefined before it has. */
  #orderedAfter: { readonly collection: string | undefined } | undefined;
  #wakeUp: () => void = () => undefined;

  constructor(options: StoreKeeperOptions) {
    this.#options = options;
    this.#garbage = { bytes: UNKNOWN_GARBAGE_BYTES, since: options.clock.now() };
  }

  /** Images of that size were removed; the next collection frees their space. */
  readonly removed = (bytes: number): void => {
    const { bytes: before, since } = this.#garbage;
    // Whatever the size, at least a manifest was removed.
    const more = Math.max(1, bytes);
    this.#garbage = {
      bytes: before + more,
      since: before <= UNKNOWN_GARBAGE_BYTES ? this.#options.clock.now() : since,
    };
  };

  /** As the store reported it last; undefined before the first report. */
  get status(): StoreStatus | undefined {
    return this.#status;
  }

  /** How much space removed images take until the next collection, in bytes. */
  get garbageBytes(): number {
    return this.#garbage.bytes;
  }

  /**
   * Whether a collection that this leader ordered has ended, so that nothing which former leaders removed
   * takes up space.
   */
  get hasCollected(): boolean {
    return this.#orderedAfter !== undefined && !this.#isBusy;
  }

  /** Orders a collection at once, however little there is to gain. */
  readonly collectNow = (): void => {
    this.#isAsked = true;
    this.#wakeUp();
  };

  component(): Component {
    const { clock, everyMs, log } = this.#options;
    return loop('store keeper', async (signal) => {
      for (;;) {
        await this.#look(signal).catch((error: unknown) => {
          signal.throwIfAborted();
          log.warn('the store does not report its status', { error });
        });
        const woken = new Promise<void>((resolve) => {
          this.#wakeUp = resolve;
        });
        const pause = new AbortController();
        const slept = clock.sleep(this.#isBusy ? BUSY_MS : everyMs, AbortSignal.any([signal, pause.signal]));
        await Promise.race([slept, woken]).finally(() => {
          pause.abort();
          slept.catch(() => undefined);
        });
      }
    });
  }

  get #isBusy(): boolean {
    if (this.#isAsked) return true;
    const ordered = this.#orderedAfter;
    return ordered !== undefined && ordered.collection === this.#status?.lastCollection?.startedAt;
  }

  async #look(signal: AbortSignal): Promise<void> {
    const { store, thresholds, clock, log, assertLeader, onOtherVolume } = this.#options;
    const status = await store.status(signal);
    const { volume, volumeId, state } = status;
    if (this.#status !== undefined && this.#status.volumeId !== volumeId) onOtherVolume();
    this.#status = status;
    const isDue = this.#isAsked || isCollectionDue(this.#garbage, volume, thresholds, clock.now());
    if (state !== 'serving' || !isDue) return;
    assertLeader();
    const { bytes } = this.#garbage;
    await store.collect(signal);
    this.#isAsked = false;
    this.#orderedAfter = { collection: status.lastCollection?.startedAt };
    log.info('collection ordered', { removedBytes: bytes });
    this.#garbage = { bytes: 0, since: 0 };
  }
}
