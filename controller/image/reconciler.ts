/** Brings CachedImages to what they should be, one by one: gather, decide, apply. */
import type { CachedImage, CachedImageStatus } from '../../api/cached-image.ts';
import { isConflict, isNotFound } from '../../platform/kube/error.ts';
import type { ObjectCache } from '../../platform/kube/cache.ts';
import type { WorkQueue, WorkResult } from '../../platform/kube/work-queue.ts';
import type { Logger } from '../../platform/log.ts';
import { loop, type Component } from '../../platform/run.ts';
import type { RecordObjectEvent } from '../cluster/object-events.ts';
import type { ImageRecord } from '../cluster/resources.ts';
import type { UsageIndex } from '../cluster/usage.ts';
import { TASKS } from '../jobs/job-state.ts';
import type { JobQueues } from '../jobs/kinds.ts';
import { decide } from './decide.ts';
import type { Decision, Gathered } from './decision.ts';
import type { Suspicion } from './suspicion.ts';
import type { ImageWriter } from './writer.ts';

/** By then the watch has brought what somebody else wrote. */
const AFTER_CONFLICT_MS = 200;

export interface ReconcilerOptions {
  readonly gather: (name: string) => Gathered;
  readonly writer: Pick<ImageWriter, 'write' | 'remove'>;
  readonly images: ObjectCache<ImageRecord>;
  readonly usage: UsageIndex;
  /** Resolves once all that decisions depend on is known. */
  readonly synced: (signal: AbortSignal) => Promise<void>;
  /** Names of images to look at. */
  readonly imageQueue: WorkQueue;
  readonly jobs: JobQueues;
  readonly suspicion: Suspicion;
  readonly onExpired: (reason: string) => void;
  /** Records an Event about the CachedImage. */
  readonly recordEvent: RecordObjectEvent;
  /** Records Events on the Pods that use the image, each once. */
  readonly notifyPods: (name: string, image: string, status: CachedImageStatus) => void;
  readonly log: Logger;
}

export class Reconciler {
  readonly #options: ReconcilerOptions;

  constructor(options: ReconcilerOptions) {
    this.#options = options;
  }

  component(): Component {
    const { images, usage, synced, imageQueue, log } = this.#options;
    return loop('reconcile', async (signal) => {
      await synced(signal);
      log.info('reconciling', { images: images.size, inUse: [...usage.names()].length });
      await imageQueue.run(this.reconcile, signal);
    });
  }

  /**
   * One round for one name. An image that pods have just begun to use takes several: the first only creates its
   * CachedImage, the second asks the store what it has (a verification), the third orders the copy. Each change
   * of the image or of its job brings the name back into the queue. In the last one the copy is done, and the
   * image becomes Ready.
   * @throws KubeError when something could not be read or written; the queue then tries again
   */
  readonly reconcile = async (name: string, signal: AbortSignal): Promise<WorkResult> => {
    const { gather, writer } = this.#options;
    const gathered = gather(name);
    const decision = decide(gathered);
    const { image } = gathered;
    try {
      await writer.write(name, image, decision, signal);
      if (image !== undefined && decision.expire !== undefined) {
        await this.#expire(image, decision.expire, signal);
      }
    } catch (error) {
      if (isConflict(error) || isNotFound(error)) return { requeueAfterMs: AFTER_CONFLICT_MS };
      throw error;
    }
    this.#act(name, decision);
    if (image === undefined) this.#forget(name);
    if (image !== undefined) this.#report(name, image, decision);
    return decision.againInMs === undefined ? undefined : { requeueAfterMs: decision.againInMs };
  };

  async #expire(
    image: CachedImage,
    reason: NonNullable<Decision['expire']>,
    signal: AbortSignal,
  ): Promise<void> {
    const { writer, onExpired, recordEvent, log } = this.#options;
    if (!(await writer.remove(image, signal))) return;
    onExpired(reason);
    recordEvent(image, { type: 'Normal', reason, message: EXPIRY[reason] });
    log.info('image expired', { name: image.metadata.name, reason });
  }

  #report(name: string, image: CachedImage, { events, status }: Decision): void {
    const { images, recordEvent, notifyPods } = this.#options;
    for (const event of events) recordEvent(image, event);
    if (status !== undefined) notifyPods(images.get(name)?.standsFor ?? name, image.spec.image, status);
  }

  #act(name: string, { copy, tasks = [], settled = [], suspect }: Decision): void {
    const { jobs, suspicion, log } = this.#options;
    for (const task of settled) jobs[task].settle(name);
    for (const order of tasks) {
      if (order.task === 'remove') jobs.remove.start(name, order.request);
      else jobs[order.task].start(name, order.request);
    }
    if (copy?.do === 'start') {
      log.debug('copy ordered', { image: name, because: copy.because });
      jobs.copy.start(name, copy.request, copy.priority);
    }
    if (copy?.do === 'cancel') jobs.copy.cancel(name);
    if (copy?.do === 'forget') jobs.copy.forget(name);
    if (suspect === true) suspicion.raise();
  }

  /** A copy that runs goes on: if pods wait for the image, its CachedImage is about to be created again. */
  #forget(name: string): void {
    for (const task of TASKS) this.#options.jobs[task].forget(name);
  }
}

const EXPIRY = {
  Expired: 'no pod has used it for as long as unused images are kept',
  Evicted: 'the cache holds more than it may, and this was the longest unused of the images that may go',
} as const;
