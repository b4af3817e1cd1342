/**
 * Since when the store is suspected of having lost more than is known: everything is verified anew from then
 * on.
 */
import type { Clock } from '../../platform/clock.ts';
import type { ObjectCache } from '../../platform/kube/cache.ts';
import type { WorkQueue } from '../../platform/kube/work-queue.ts';
import type { Logger } from '../../platform/log.ts';
import type { ImageRecord } from '../cluster/resources.ts';

/** Losses found within this time belong to the suspicion that was raised last. */
const SETTLES_MS = 30_000;

export interface SuspicionOptions {
  readonly images: ObjectCache<ImageRecord>;
  /** Names of images to look at. */
  readonly imageQueue: Pick<WorkQueue, 'add'>;
  readonly clock: Clock;
  readonly log: Logger;
}

export class Suspicion {
  readonly #options: SuspicionOptions;
  #raisedAt: number | undefined;

  constructor(options: SuspicionOptions) {
    this.#options = options;
  }

  /** Milliseconds since the epoch; undefined while the store is not suspected of anything. */
  get at(): number | undefined {
    return this.#raisedAt;
  }

  /** Has every image looked at, which then orders its verification. */
  readonly raise = (): void => {
    const { images, imageQueue, clock, log } = this.#options;
    const now = clock.now();
    if (this.#raisedAt !== undefined && now - this.#raisedAt < SETTLES_MS) return;
    this.#raisedAt = now;
    log.warn('the store has lost content, all images are verified');
    for (const { metadata } of images.values()) imageQueue.add(metadata.name ?? '');
  };
}
