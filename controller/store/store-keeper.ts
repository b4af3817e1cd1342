/** Follows the release's own store: has garbage collected when it is worth it, and notices when the volume is another one. */
import type { StoreStatus } from '../../api/store-api.ts';
import type { Clock } from '../../platform/clock.ts';
import type { Logger } from '../../platform/log.ts';
import { type Component, loop } from '../../platform/run.ts';
import { type CollectionRules, type Garbage, isCollectionDue } from './collection.ts';
import type { StoreClient } from './store-client.ts';

export interface StoreKeeperOptions {
  readonly store: Pick<StoreClient, 'status' | 'collect'>;
  readonly rules: CollectionRules;
  /** In milliseconds. */
  readonly everyMs: number;
  /** Called when the images that were there may be gone. */
  readonly onOtherVolume: () => void;
  /** Throws when another leads. */
  readonly assertLeader: () => void;
  readonly clock: Clock;
  readonly log: Logger;
}

/** What former leaders removed, in bytes: nobody knows; the least that counts. */
const PERHAPS = 1;
/** While a collection is awaited, the store is asked so often. */
const BUSY_MS = 2_000;

export class StoreKeeper {
  readonly #options: StoreKeeperOptions;
  #garbage: Garbage;
  #told: StoreStatus | undefined;
  #isAsked = false;
  #orderedAfter: { readonly collection: string | undefined } | undefined;
  #wakeUp: () => void = () => undefined;

  constructor(options: StoreKeeperOptions) {
    this.#options = options;
    this.#garbage = { bytes: PERHAPS, since: options.clock.now() };
  }

  /** Something was removed from the store; its space is won by the next collection. */
  readonly removed = (bytes: number): void => {
    const { bytes: before, since } = this.#garbage;
    // Even what is said to be nothing leaves a manifest behind.
    const more = Math.max(1, bytes);
    this.#garbage = { bytes: before + more, since: before <= PERHAPS ? this.#options.clock.now() : since };
  };

  /** What the store told last; undefined before it has told anything. */
  get status(): StoreStatus | undefined {
    return this.#told;
  }

  /** What was removed since the last collection and takes room until the next, in bytes. */
  get garbageBytes(): number {
    return this.#garbage.bytes;
  }

  /** Whether a collection was ordered by this leader, so that nothing which former ones removed takes room any more. */
  get hasCollected(): boolean {
    return this.#orderedAfter !== undefined && !this.#isBusy;
  }

  /** Has garbage collected at once, whatever there is to gain. */
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
          log.warn('the store does not tell how it stands', { error });
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
    const isAsked = this.#isAsked;
    const orderedAfter = this.#orderedAfter;
    const told = this.#told;
    return (
      isAsked || (orderedAfter !== undefined && orderedAfter.collection === told?.lastCollection?.startedAt)
    );
  }

  async #look(signal: AbortSignal): Promise<void> {
    const { store, rules, clock, log, assertLeader, onOtherVolume } = this.#options;
    const status = await store.status(signal);
    const { volume, volumeId, state } = status;
    if (this.#told !== undefined && this.#told.volumeId !== volumeId) onOtherVolume();
    this.#told = status;
    const isDue = this.#isAsked || isCollectionDue(this.#garbage, volume, rules, clock.now());
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
