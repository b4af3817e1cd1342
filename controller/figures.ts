/** The controller's metrics: how many images are in which state, and how copying goes. */
import { CONDITION_READY } from '../api/reasons.ts';
import type { ObjectCache } from '../platform/kube/cache.ts';
import { findCondition } from '../platform/kube/conditions.ts';
import type { WorkQueue } from '../platform/kube/work-queue.ts';
import type { Metrics } from '../platform/metrics.ts';
import type { Copies } from './copies.ts';
import type { ImageRecord } from './resources.ts';

/** What the leader has to tell; a replica that does not lead tells nothing. */
export interface Sources {
  readonly images: ObjectCache<ImageRecord>;
  readonly queue: WorkQueue;
  readonly copies: Copies;
}

export interface Figures {
  /** From now on the figures are those of this term; undefined when it is over. */
  readonly follow: (sources: Sources | undefined) => void;
  readonly copyFailed: (reason: string) => void;
  /** A waiting container was given another image. */
  readonly rescued: (reason: string) => void;
}

export function controllerFigures(metrics: Metrics): Figures {
  let sources: Sources | undefined;
  metrics.gauge('images', 'Images by the reason of their Ready condition', ['ready', 'reason'], (gauge) => {
    gauge.reset();
    for (const { image } of sources?.images.values() ?? []) {
      const ready = findCondition(image.status?.conditions, CONDITION_READY);
      gauge.inc({ ready: ready?.status ?? 'Unknown', reason: ready?.reason ?? 'Unknown' });
    }
  });
  metrics.gauge('images_bytes', 'Bytes of all images, shared blobs counted for each', [], (gauge) => {
    const sizes = [...(sources?.images.values() ?? [])].map(({ image }) => image.status?.sizeBytes ?? 0);
    gauge.set(sizes.reduce((sum, size) => sum + size, 0));
  });
  metrics.gauge('copies', 'Copies by state', ['state'], (gauge) => {
    const { waiting, running } = sources?.copies.counts() ?? { waiting: 0, running: 0 };
    gauge.set({ state: 'waiting' }, waiting);
    gauge.set({ state: 'running' }, running);
  });
  metrics.gauge('queue_depth', 'Images that wait to be looked at', [], (gauge) => {
    gauge.set(sources?.queue.depth ?? 0);
  });
  metrics.gauge(
    'queue_oldest_wait_seconds',
    'How long the image waits that has waited longest',
    [],
    (gauge) => {
      gauge.set((sources?.queue.oldestWaitMs ?? 0) / 1_000);
    },
  );
  const failures = metrics.counter('copy_failures_total', 'Copies that failed, by reason', ['reason']);
  const rescues = metrics.counter('rescues_total', 'Waiting containers given another image', ['reason']);
  return {
    follow: (next) => {
      sources = next;
    },
    copyFailed: (reason) => {
      failures.inc({ reason });
    },
    rescued: (reason) => {
      rescues.inc({ reason });
    },
  };
}
