/** The controller's metrics: which images are in which state, what the cache holds, and how copies and questions go. */
import { CONDITION_READY, CONDITION_UPSTREAM_AVAILABLE } from '../api/reasons.ts';
import type { ObjectCache } from '../platform/kube/cache.ts';
import { findCondition } from '../platform/kube/conditions.ts';
import type { WorkQueue } from '../platform/kube/work-queue.ts';
import type { Metrics } from '../platform/metrics.ts';
import type { CacheKeeper } from './store/cache-keeper.ts';
import type { Copies } from './jobs/copies.ts';
import type { ErrandName, ErrandRunners } from './jobs/task-runners.ts';
import type { ImageRecord } from './cluster/resources.ts';
import type { UsageIndex } from './cluster/usage.ts';

/** What the leader has to tell; a replica that does not lead tells nothing. */
export interface Sources {
  readonly images: ObjectCache<ImageRecord>;
  readonly usage: UsageIndex;
  readonly queue: WorkQueue;
  readonly copies: Copies;
  readonly errands: ErrandRunners;
  readonly cacheKeeper: CacheKeeper;
}

export interface Figures {
  /** From now on the figures are those of this term; undefined when it is over. */
  readonly follow: (sources: Sources | undefined) => void;
  readonly copied: (sizeBytes: number, seconds: number) => void;
  readonly copyFailed: (reason: string) => void;
  readonly errandEnded: (errand: ErrandName, result: string) => void;
  /** An image was let go because its time was over, or because the cache was too full. */
  readonly expired: (reason: string) => void;
  /** Users were told something of an image. */
  readonly told: (reason: string) => void;
  /** A waiting container was given another image. */
  readonly rescued: (reason: string) => void;
}

/** Copies take from a second to an hour. */
const COPY_SECONDS = [0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900, 3_600];

export function controllerFigures(metrics: Metrics): Figures {
  let sources: Sources | undefined;
  const now = (): Sources | undefined => sources;
  metrics.gauge('leading', 'Whether this replica leads (1) or not (0)', [], (gauge) => {
    gauge.set(sources === undefined ? 0 : 1);
  });
  imageGauges(metrics, now);
  queueGauges(metrics, now);
  const bytes = metrics.counter('copied_bytes_total', 'Bytes of all images whose copies ended well');
  const seconds = metrics.histogram('copy_seconds', 'How long such copies took', [], COPY_SECONDS);
  const failures = metrics.counter('copy_failures_total', 'Copies that failed, by reason', ['reason']);
  const checks = metrics.counter(
    'upstream_checks_total',
    'Times that an upstream was asked what an image is, by its answer',
    ['result'],
  );
  const verifications = metrics.counter(
    'verifications_total',
    'Times that the store was asked whether it holds all of an image, by its answer',
    ['result'],
  );
  const removals = metrics.counter('removals_total', 'Removals from the store, by how they ended', [
    'result',
  ]);
  const expired = metrics.counter('images_expired_total', 'CachedImages let go, by reason', ['reason']);
  const events = metrics.counter('image_events_total', 'Events about images, by reason', ['reason']);
  const rescues = metrics.counter('rescues_total', 'Waiting containers given another image', ['reason']);
  const ended = { check: checks, verify: verifications, remove: removals };
  return {
    follow: (next) => {
      sources = next;
    },
    copied: (sizeBytes, took) => {
      bytes.inc(sizeBytes);
      seconds.observe(took);
    },
    copyFailed: (reason) => {
      failures.inc({ reason });
    },
    errandEnded: (errand, result) => {
      ended[errand].inc({ result });
    },
    expired: (reason) => {
      expired.inc({ reason });
    },
    told: (reason) => {
      events.inc({ reason });
    },
    rescued: (reason) => {
      rescues.inc({ reason });
    },
  };
}

function imageGauges(metrics: Metrics, sources: () => Sources | undefined): void {
  const records = (): readonly ImageRecord[] => [...(sources()?.images.values() ?? [])];
  const isUsed = (record: ImageRecord): boolean => (record.image.status?.usedBy?.pods ?? 0) > 0;
  metrics.gauge(
    'images',
    'Images by the reason of their Ready condition, and whether pods use them',
    ['ready', 'reason', 'used'],
    (gauge) => {
      gauge.reset();
      for (const record of records()) {
        const ready = findCondition(record.image.status?.conditions, CONDITION_READY);
        const labels = { ready: ready?.status ?? 'Unknown', reason: ready?.reason ?? 'Unknown' };
        gauge.inc({ ...labels, used: String(isUsed(record)) });
      }
    },
  );
  metrics.gauge(
    'images_upstream',
    'Images by what their upstream said last, and whether pods use them',
    ['reason', 'used'],
    (gauge) => {
      gauge.reset();
      for (const record of records()) {
        const upstream = findCondition(record.image.status?.conditions, CONDITION_UPSTREAM_AVAILABLE);
        gauge.inc({ reason: upstream?.reason ?? 'Unknown', used: String(isUsed(record)) });
      }
    },
  );
  metrics.gauge('images_in_use', 'Images that pods use, cached or not', [], (gauge) => {
    gauge.set([...(sources()?.usage.names() ?? [])].length);
  });
  metrics.gauge('images_bytes', 'Bytes of all images, shared blobs counted for each', [], (gauge) => {
    const sizes = records().map(({ image }) => image.status?.sizeBytes ?? 0);
    gauge.set(sizes.reduce((sum, size) => sum + size, 0));
  });
  metrics.gauge('cache_bytes', 'What the images take, shared blobs counted once where known', [], (gauge) => {
    gauge.set(sources()?.cacheKeeper.capacity.heldBytes ?? 0);
  });
  metrics.gauge('cache_limit_bytes', 'What the images may take; 0 when there is no limit', [], (gauge) => {
    gauge.set(sources()?.cacheKeeper.limitBytes ?? 0);
  });
  metrics.gauge(
    'cache_excess_bytes',
    'What the images take beyond the limit although nothing more may go',
    [],
    (gauge) => {
      gauge.set(sources()?.cacheKeeper.capacity.excessBytes ?? 0);
    },
  );
}

function queueGauges(metrics: Metrics, sources: () => Sources | undefined): void {
  metrics.gauge('copies', 'Copies by state', ['state'], (gauge) => {
    const { waiting, running } = sources()?.copies.counts() ?? { waiting: 0, running: 0 };
    gauge.set({ state: 'waiting' }, waiting);
    gauge.set({ state: 'running' }, running);
  });
  metrics.gauge(
    'copies_oldest_wait_seconds',
    'How long the copy waits that has waited longest',
    [],
    (gauge) => {
      gauge.set((sources()?.copies.counts().oldestWaitMs ?? 0) / 1_000);
    },
  );
  metrics.gauge('errands', 'Checks, verifications and removals by state', ['errand', 'state'], (gauge) => {
    const runners = sources()?.errands;
    for (const errand of ['check', 'verify', 'remove'] as const) {
      const { waiting, running } = runners?.[errand].counts() ?? { waiting: 0, running: 0 };
      gauge.set({ errand, state: 'waiting' }, waiting);
      gauge.set({ errand, state: 'running' }, running);
    }
  });
  metrics.gauge('queue_depth', 'Images that wait to be looked at', [], (gauge) => {
    gauge.set(sources()?.queue.depth ?? 0);
  });
  metrics.gauge(
    'queue_oldest_wait_seconds',
    'How long the image waits that has waited longest',
    [],
    (gauge) => {
      gauge.set((sources()?.queue.oldestWaitMs ?? 0) / 1_000);
    },
  );
}
