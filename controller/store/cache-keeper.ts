/**
 * Keeps the cache within its limit, writes the status of the ImageCache, and acts on the requests for a
 * collection made there.
 */
import { isDeepStrictEqual } from 'node:util';
import { CONDITION_WITHIN_LIMIT, type ImageCacheStatus } from '../../api/image-cache.ts';
import { CONDITION_READY } from '../../api/reasons.ts';
import type { Clock } from '../../platform/clock.ts';
import type { ObjectCache } from '../../platform/kube/cache.ts';
import { findCondition, isTrue } from '../../platform/kube/conditions.ts';
import { isConflict } from '../../platform/kube/error.ts';
import { apiVersionOf } from '../../platform/kube/resource.ts';
import { parseTime } from '../../platform/kube/time.ts';
import type { Logger } from '../../platform/log.ts';
import { loop, type Component } from '../../platform/run.ts';
import { formatReference } from '../../registry/core/reference.ts';
import type { Writer } from '../cluster/fenced.ts';
import type { RecordObjectEvent } from '../cluster/object-events.ts';
import { cacheRecords, type CacheRecord, type ImageRecord } from '../cluster/resources.ts';
import type { UsageIndex } from '../cluster/usage.ts';
import { cacheStatus, type CacheView } from './cache-status.ts';
import { capacity, type Capacity, type Holding } from './capacity.ts';
import type { StoreKeeper } from './keeper.ts';

/** Changes come in bursts; each look takes in all changes of the last seconds. */
const EVERY_MS = 3_000;
const FIELD_MANAGER = 'larder-controller';

export interface CacheKeeperOptions {
  /** The name of the ImageCache. */
  readonly name: string;
  readonly caches: ObjectCache<CacheRecord>;
  readonly images: ObjectCache<ImageRecord>;
  readonly standingFor: (name: string) => readonly ImageRecord[];
  readonly usage: UsageIndex;
  /** Absent when the store does not belong to the release. */
  readonly storeKeeper?: Pick<StoreKeeper, 'status' | 'garbageBytes' | 'hasCollected' | 'collectNow'>;
  /** How much the images may take, in bytes; absent: no limit. */
  readonly limitBytes?: number;
  /** Called with the name of every image that is chosen to go. */
  readonly onEvict: (name: string) => void;
  readonly writer: Writer;
  readonly recordEvent: RecordObjectEvent;
  readonly synced: (signal: AbortSignal) => Promise<void>;
  readonly clock: Clock;
  readonly log: Logger;
}

export class CacheKeeper {
  readonly #options: CacheKeeperOptions;
  #evicted: ReadonlySet<string> = new Set();
  #isRefused = false;
  #last: Capacity = { evict: [], heldBytes: 0, excessBytes: 0 };

  constructor(options: CacheKeeperOptions) {
    this.#options = options;
  }

  /** Whether an image is chosen to go because the cache holds more than it may. */
  readonly isEvicted = (name: string): boolean => this.#evicted.has(name);

  get limitBytes(): number | undefined {
    return this.#options.limitBytes;
  }

  /** As of the last look at the cache. */
  get capacity(): Capacity {
    return this.#last;
  }

  component(): Component {
    const { synced, clock, log } = this.#options;
    return loop('cache keeper', async (signal) => {
      await synced(signal);
      for (;;) {
        await clock.sleep(EVERY_MS, signal);
        this.#weigh();
        try {
          await this.#report(signal);
          this.#isRefused = false;
        } catch (error) {
          signal.throwIfAborted();
          // On a conflict the watch brings what somebody else wrote, and the next look takes it in.
          if (!isConflict(error) && !this.#isRefused) {
            log.warn('the ImageCache cannot be written and will be tried again', { error });
            this.#isRefused = true;
          }
        }
      }
    });
  }

  #weigh(): void {
    const { images, storeKeeper, limitBytes, onEvict } = this.#options;
    const holdings = [...images.values()].flatMap((record) => holdingOf(record) ?? []);
    const volume = storeKeeper?.status?.volume;
    const use = storeKeeper &&
      volume && { usedBytes: volume.usedBytes, garbageBytes: storeKeeper.garbageBytes };
    this.#last = capacity(holdings, use ?? undefined, limitBytes);
    const { evict } = this.#last;
    // Images that a former leader removed may still take up space, which is reclaimed before any other image
    // goes.
    if (evict.length > 0 && storeKeeper?.hasCollected === false) storeKeeper.collectNow();
    else for (const name of evict) onEvict(name);
    this.#evicted = new Set(storeKeeper?.hasCollected === false ? [] : evict);
  }

  async #report(signal: AbortSignal): Promise<void> {
    const { name, caches, clock } = this.#options;
    const record = caches.get(name) ?? (await this.#create(signal));
    const request = this.#collect(record);
    const next = cacheStatus(record.status, { ...this.#view(), ...request }, clock.now());
    if (isDeepStrictEqual(next, record.status)) return;
    const { resourceVersion } = record.metadata;
    const written = await this.#write({ metadata: { name, resourceVersion }, status: next }, signal);
    const [was, is] = [record.status, next].map(({ conditions }) =>
      findCondition(conditions, CONDITION_WITHIN_LIMIT),
    );
    if (is?.status === 'False' && was?.status !== 'False') {
      this.#options.recordEvent(written, { type: 'Warning', reason: 'OverLimit', message: is.message });
    }
  }

  /** Orders a collection when the annotation asks for one, once for each of its values. */
  #collect(record: CacheRecord): Pick<ImageCacheStatus, 'collectRequest'> {
    const { storeKeeper, recordEvent } = this.#options;
    const { collectRequest = record.status.collectRequest } = record;
    if (collectRequest !== record.status.collectRequest) {
      storeKeeper?.collectNow();
      recordEvent(
        record,
        storeKeeper === undefined
          ? {
              type: 'Warning',
              reason: 'CollectionRefused',
              message: 'the store does not belong to the release',
            }
          : { type: 'Normal', reason: 'CollectionOrdered', message: 'the store is about to collect garbage' },
      );
    }
    return collectRequest === undefined ? {} : { collectRequest };
  }

  #view(): CacheView {
    const { images, usage, standingFor, storeKeeper, limitBytes } = this.#options;
    const inUse = [...usage.names()];
    const lacking = inUse.filter((name) => !standingFor(name).some(isReady));
    const lastCollection = storeKeeper?.status?.lastCollection;
    return {
      images: [...images.values()].filter(isReady).length,
      imagesInUse: inUse.length,
      lacking: lacking
        .flatMap((name) => usage.of(name) ?? [])
        .map(({ reference }) => formatReference(reference))
        .sort(),
      capacity: this.#last,
      ...(limitBytes === undefined ? {} : { limitBytes }),
      ...(lastCollection ? { lastCollection } : {}),
    };
  }

  #create(signal: AbortSignal): Promise<CacheRecord> {
    return this.#write({ metadata: { name: this.#options.name } }, signal);
  }

  async #write(
    content: { readonly metadata: object; readonly status?: ImageCacheStatus },
    signal: AbortSignal,
  ): Promise<CacheRecord> {
    const { name, caches, writer } = this.#options;
    const body = { apiVersion: apiVersionOf(cacheRecords), kind: cacheRecords.kind, ...content };
    const patch = { type: 'apply', body, fieldManager: FIELD_MANAGER, force: true } as const;
    const options = content.status === undefined ? { signal } : ({ subresource: 'status', signal } as const);
    const object = await writer.patch(cacheRecords, { name }, patch, options);
    caches.apply({ type: 'upsert', object });
    return object;
  }
}

/** Undefined for an image that the cache does not hold, or is about to lose. */
function holdingOf({ image: { metadata, status } }: ImageRecord): Holding | undefined {
  if (status?.digest === undefined || metadata.deletionTimestamp !== undefined) return undefined;
  return {
    name: metadata.name,
    sizeBytes: status.sizeBytes ?? 0,
    lastUsedAt: parseTime(status.lastUsedTime) ?? parseTime(metadata.creationTimestamp) ?? 0,
    mayGo: status.expirationTime !== undefined,
  };
}

function isReady({ image: { status } }: ImageRecord): boolean {
  return isTrue(status?.conditions, CONDITION_READY);
}
