/** Events on the Pods that use an image: a pure decision, and a memory so that each Pod is told once. */
import type { CachedImageStatus } from '../../api/cached-image.ts';
import { CONDITION_READY, CONDITION_UPSTREAM_AVAILABLE } from '../../api/reasons.ts';
import type { ObjectCache } from '../../platform/kube/cache.ts';
import { findCondition } from '../../platform/kube/conditions.ts';
import { subjectOf, type EventRecorder } from '../../platform/kube/events.ts';
import { keyOf } from '../../platform/kube/resource.ts';
import type { PodView } from '../cluster/pod-view.ts';
import { podRecords, type PodRecord } from '../cluster/resources.ts';
import type { UsageIndex } from '../cluster/usage.ts';
import { RESTING } from './events.ts';

export interface PodNotice {
  /** A stable word in CamelCase. */
  readonly reason: string;
  readonly message: string;
  readonly concerns: (pod: PodView) => boolean;
}

/** Reasons for which upstream is unlikely to serve the image again by itself. */
const GONE: readonly string[] = ['NotFound', 'Unauthorized', 'Forbidden'];

/** @param image the image as users name it */
export function noticesOf(image: string, status: CachedImageStatus): readonly PodNotice[] {
  const [ready, upstream] = [CONDITION_READY, CONDITION_UPSTREAM_AVAILABLE].map((type) =>
    findCondition(status.conditions, type),
  );
  if (ready?.status === 'False') {
    if (RESTING.includes(ready.reason)) return [];
    const message = `${image} cannot be copied into the cache (${ready.reason}): ${ready.message}`;
    return [{ reason: 'CopyFailed', message, concerns: ({ waiting }) => waiting }];
  }
  const notices: PodNotice[] = [];
  if (upstream?.status === 'False' && GONE.includes(upstream.reason)) {
    const message = `${image} is in the cache, but its registry no longer serves it: ${upstream.message}`;
    notices.push({ reason: `Upstream${upstream.reason}`, message, concerns: () => true });
  }
  const former = (status.previousDigests ?? []).map(({ digest }) => digest);
  if (former.length > 0) {
    const message = `${image} now names ${status.digest ?? ''}; this pod runs an earlier digest, which stays cached while it does`;
    const concerns = ({ digests }: PodView): boolean => digests.some((digest) => former.includes(digest));
    notices.push({ reason: 'UpstreamMoved', message, concerns });
  }
  return notices;
}

export interface PodNoticesOptions {
  readonly pods: ObjectCache<PodRecord>;
  readonly usage: UsageIndex;
  readonly events: Pick<EventRecorder, 'record'>;
}

/** Events on the first Pods of a large Deployment are enough. */
const MAX_PODS = 16;

export class PodNotices {
  readonly #options: PodNoticesOptions;
  /** By Pod: the images, with their reasons, that Events were recorded for. */
  readonly #told = new Map<string, Set<string>>();

  constructor(options: PodNoticesOptions) {
    this.#options = options;
    options.pods.onChange(({ before, after }) => {
      if (before !== undefined && after === undefined) this.#told.delete(keyOf(before));
    });
  }

  /**
   * @param name the name that `cachedImageName` gives the image
   * @param image the image as users name it
   */
  readonly notify = (name: string, image: string, status: CachedImageStatus): void => {
    for (const notice of noticesOf(image, status)) {
      const concerned = [...this.#options.usage.podsUsing(name)].filter(([, view]) => notice.concerns(view));
      for (const [key] of concerned.slice(0, MAX_PODS)) this.#notifyPod(key, name, notice);
    }
  };

  #notifyPod(key: string, name: string, { reason, message }: PodNotice): void {
    const { pods, events } = this.#options;
    const pod = pods.get(key);
    const told = this.#told.get(key) ?? new Set<string>();
    if (pod === undefined || told.has(`${name} ${reason}`)) return;
    this.#told.set(key, told.add(`${name} ${reason}`));
    const regarding = subjectOf(podRecords, pod);
    events.record({ regarding, type: 'Warning', reason, action: 'Cache', note: message });
  }
}
