/** Follows the release's own store: has garbage collected when it is worth it, and notices when the volume is another one. */
import type { Clock } from '../platform/clock.ts';
import type { Logger } from '../platform/log.ts';
import type { Component } from '../platform/run.ts';
import { loop } from '../platform/run.ts';
import { isCollectionDue } from './collection.ts';
import type { CollectionRules } from './collection.ts';
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

export class StoreKeeper {
  private readonly options: StoreKeeperOptions;
  private garbage = { bytes: 0, since: 0 };
  private volumeId: string | null | undefined;

  constructor(options: StoreKeeperOptions) {
    this.options = options;
  }

  /** Something was removed from the store; its space is won by the next collection. */
  readonly removed = (bytes: number): void => {
    const { bytes: before, since } = this.garbage;
    // Even what is said to be nothing leaves a manifest behind.
    const more = Math.max(1, bytes);
    this.garbage = { bytes: before + more, since: before === 0 ? this.options.clock.now() : since };
  };

  component(): Component {
    const { clock, everyMs, log } = this.options;
    return loop('store keeper', async (signal) => {
      for (;;) {
        await this.look(signal).catch((error: unknown) => {
          signal.throwIfAborted();
          log.warn('the store does not tell how it stands', { error });
        });
        await clock.sleep(everyMs, signal);
      }
    });
  }

  private async look(signal: AbortSignal): Promise<void> {
    const { store, rules, clock, log, assertLeader, onOtherVolume } = this.options;
    const { volume, volumeId, state } = await store.status(signal);
    if (this.volumeId !== undefined && this.volumeId !== volumeId) onOtherVolume();
    this.volumeId = volumeId;
    if (state !== 'serving' || !isCollectionDue(this.garbage, volume, rules, clock.now())) return;
    assertLeader();
    const { bytes } = this.garbage;
    await store.collect(signal);
    log.info('collection ordered', { removedBytes: bytes });
    this.garbage = { bytes: 0, since: 0 };
  }
}
