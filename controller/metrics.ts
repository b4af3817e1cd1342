/**
 * The controller's metrics: the states of images, the contents of the cache, and the course of copies and
 * tasks.
 */
import { CONDITION_READY, CONDITION_UPSTREAM_AVAILABLE } from '../api/reasons.ts';
import type { ObjectCache } from '../platform/kube/cache.ts';
import { findCondition } from '../platform/kube/conditions.ts';
import type { WorkQueue } from '../platform/kube/work-queue.ts';
import type { Metrics } from '../platform/metrics.ts';
import type { ImageRecord } from './cluster/resources.ts';
import type { UsageIndex } from './cluster/usage.ts';
import { TASKS } from './jobs/job-state.ts';
import type { JobMetrics, JobQueues } from './jobs/kinds.ts';
import type { CacheKeeper } from './store/cache-keeper.ts';

/** The parts of the leader that gauges are read from; a replica that does not lead has none. */
export interface Sources {
  readonly images: ObjectCache<ImageRecord>;
  readonly usage: UsageIndex;
  readonly imageQueue: WorkQueue;
  readonly jobs: JobQueues;
  readonly cacheKeeper: CacheKeeper;
}

export interface ControllerMetrics extends JobMetrics {
  /** Reads the gauges from these parts from now on; undefined when this replica no longer leads. */
  readonly follow: (sources: Sources | undefined) => void;
  /** A request to the Kubernetes API was answered. */
  readonly requested: (method: string, status: number) => void;
  /** A CachedImage was deleted because its time was over, or because the cache was too full. */
  readonly expired: (reason: string) => void;
  /** An Event about an image was recorded. */
  readonly imageEvent: (reason: string) => void;
  /** A waiting container was given another image. */
  readonly rescued: (reason: string) => void;
}

/** Copies take from a second to an hour. */
const COPY_SECONDS = [0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900, 3_600];

export function controllerMetrics(metrics: Metrics): ControllerMetrics {
  let sources: Sources | undefined;
  const now = (): Sources | undefined => sources;
  metrics.gauge('leading', 'Whether this replica leads (1) or not (0)', [], (gauge) => {
    gauge.set(sources === undefined ? 0 : 1);
  });
  imageGauges(metrics, now);
  queueGauges(metrics, now);
  const requests = metrics.counter('kube_requests_total', 'Requests to the Kubernetes API', [
    'method',
    'status',
  ]);
  const bytes = metrics.counter('copied_bytes_total', 'Bytes of all images that were copied');
  const seconds = metrics.histogram('copy_seconds', 'How long those copies took', [], COPY_SECONDS);
  const failures = metrics.counter('copy_failures_total', 'Copies that failed, by reason', ['reason']);
  const checks = metrics.counter('upstream_checks_total', 'Checks of images upstream, by result', ['result']);
  const verifications = metrics.counter(
    'verifications_total',
    'Verifications of images in the store, by result',
    ['result'],
  );
  const removals = metrics.counter('removals_total', 'Removals from the store, by result', ['result']);
  const expired = metrics.counter(
    'images_expired_total',
    'CachedImages deleted because they expired or were evicted, by reason',
    ['reason'],
  );
  const events = metrics.counter('image_events_total', 'Events about images, by reason', ['reason']);
  const rescues = metrics.counter('rescues_total', 'Waiting containers given another image', ['reason']);
  const ended = { check: checks, verify: verifications, remove: removals };
  return {
    follow: (next) => {
      sources = next;
    },
    requested: (method, status) => {
      requests.inc({ method, status });
    },
    copied: (sizeBytes, took) => {
      bytes.inc(sizeBytes);
      seconds.observe(took);
    },
    copyFailed: (reason) => {
      failures.inc({ reason });
    },
    taskEnded: (task, result) => {
      ended[task].inc({ result });
    },
    expired: (reason) => {
      expired.inc({ reason });
    },
    imageEvent: (reason) => {
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
    'Images by the last answer of their upstream, and whether pods use them',
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
  metrics.gauge('images_bytes', 'Bytes of all images; shared blobs count for each', [], (gauge) => {
    const sizes = records().map(({ image }) => image.status?.sizeBytes ?? 0);
    gauge.set(sizes.reduce((sum, size) => sum + size, 0));
  });
  metrics.gauge(
    'cache_bytes',
    'Space that the images take; shared blobs count once where known',
    [],
    (gauge) => {
      gauge.set(sources()?.cacheKeeper.capacity.heldBytes ?? 0);
    },
  );
  metrics.gauge(
    'cache_limit_bytes',
    'Space that the images may take; 0 when there is no limit',
    [],
    (gauge) => {
      gauge.set(sources()?.cacheKeeper.limitBytes ?? 0);
    },
  );
  metrics.gauge(
    'cache_excess_bytes',
    'Space beyond the limit that is taken by images which may not go',
    [],
    (gauge) => {
      gauge.set(sources()?.cacheKeeper.capacity.excessBytes ?? 0);
    },
  );
}

function queueGauges(metrics: Metrics, sources: () => Sources | undefined): void {
  metrics.gauge('copies', 'Copies by state', ['state'], (gauge) => {
    const { waiting, running } = sources()?.jobs.copy.counts() ?? { waiting: 0, running: 0 };
    gauge.set({ state: 'waiting' }, waiting);
    gauge.set({ state: 'running' }, running);
  });
  metrics.gauge('copies_oldest_wait_seconds', 'How long the longest waiting copy has waited', [], (gauge) => {
    gauge.set((sources()?.jobs.copy.counts().oldestWaitMs ?? 0) / 1_000);
  });
  metrics.gauge('tasks', 'Checks, verifications and removals by state', ['task', 'state'], (gauge) => {
    const jobs = sources()?.jobs;
    for (const task of TASKS) {
      const { waiting, running } = jobs?.[task].counts() ?? { waiting: 0, running: 0 };
      gauge.set({ task, state: 'waiting' }, waiting);
      gauge.set({ task, state: 'running' }, running);
    }
  });
  metrics.gauge('queue_depth', 'Images that wait to be looked at', [], (gauge) => {
    gauge.set(sources()?.imageQueue.depth ?? 0);
  });
  metrics.gauge('queue_oldest_wait_seconds', 'How long the longest waiting image has waited', [], (gauge) => {
    gauge.set((sources()?.imageQueue.oldestWaitMs ?? 0) / 1_000);
  });
}
