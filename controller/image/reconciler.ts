/** Brings one CachedImage at a time to what it should be: gather, decide, apply. */
import type { CachedImage, CachedImageStatus } from '../../api/cached-image.ts';
import { isConflict, isNotFound } from '../../platform/kube/error.ts';
import type { ObjectCache } from '../../platform/kube/cache.ts';
import type { WorkResult } from '../../platform/kube/work-queue.ts';
import type { Logger } from '../../platform/log.ts';
import type { Copies } from '../jobs/copies.ts';
import { decide } from './decide.ts';
import type { Decision, Gathered } from './decision.ts';
import type { ObjectEvent } from '../cluster/object-events.ts';
import type { ErrandRunners } from '../jobs/task-runners.ts';
import type { ImageWriter } from './writer.ts';
import type { ImageRecord } from '../cluster/resources.ts';
import type { Suspicion } from './suspicion.ts';

/** Somebody wrote in between: by then the watch has told us what. */
const AFTER_CONFLICT_MS = 200;

export interface ReconcilerOptions {
  readonly gather: (name: string) => Gathered;
  readonly writer: Pick<ImageWriter, 'write' | 'remove'>;
  readonly images: ObjectCache<ImageRecord>;
  readonly copies: Copies;
  readonly errands: ErrandRunners;
  readonly suspicion: Suspicion;
  readonly onExpired: (reason: string) => void;
  /** Tells users about an image; never throws. */
  readonly tell: (image: CachedImage, event: ObjectEvent) => void;
  /** Tells the image's users about it, each once. */
  readonly tellPods: (name: string, image: string, status: CachedImageStatus) => void;
  readonly log: Logger;
}

export class Reconciler {
  readonly #options: ReconcilerOptions;

  constructor(options: ReconcilerOptions) {
    this.#options = options;
  }

  /** @throws KubeError when something could not be read or written; the queue then tries again */
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
    if (image !== undefined) this.#tell(name, image, decision);
    return decision.againInMs === undefined ? undefined : { requeueAfterMs: decision.againInMs };
  };

  async #expire(
    image: CachedImage,
    reason: NonNullable<Decision['expire']>,
    signal: AbortSignal,
  ): Promise<void> {
    const { writer, onExpired, tell, log } = this.#options;
    if (!(await writer.remove(image, signal))) return;
    onExpired(reason);
    tell(image, { type: 'Normal', reason, message: EXPIRY[reason] });
    log.info('image expired', { name: image.metadata.name, reason });
  }

  #tell(name: string, image: CachedImage, { events, status }: Decision): void {
    const { images, tell, tellPods } = this.#options;
    for (const event of events) tell(image, event);
    if (status !== undefined) tellPods(images.get(name)?.standsFor ?? name, image.spec.image, status);
  }

  #act(name: string, { copy, errands = [], settled = [], suspect }: Decision): void {
    const { copies, errands: runners, suspicion } = this.#options;
    for (const errand of settled) runners[errand].settle(name);
    for (const order of errands) {
      if (order.errand === 'remove') runners.remove.start(name, order.request);
      else runners[order.errand].start(name, order.request);
    }
    if (copy?.do === 'start') copies.start(name, copy.request, copy.priority);
    if (copy?.do === 'cancel') copies.cancel(name);
    if (copy?.do === 'settle') copies.settle(name);
    if (suspect === true) suspicion.raise();
  }

  #forget(name: string): void {
    const { check, verify, remove } = this.#options.errands;
    for (const errands of [check, verify, remove]) errands.forget(name);
  }
}

const EXPIRY = {
  Expired: 'no pod has used it for so long that it goes',
  Evicted: 'the cache holds more than it may, and of what no pod uses this was used longest ago',
} as const;
