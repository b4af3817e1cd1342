/** Brings one CachedImage at a time to what it should be: gather, decide, apply. */
import { isDeepStrictEqual } from 'node:util';
import type { CachedImage, CachedImageStatus } from '../api/cached-image.ts';
import { MADE_FOR_LABEL, MADE_FOR_PODS } from '../api/names.ts';
import type { Clock } from '../platform/clock.ts';
import type { Patch, WriteOptions } from '../platform/kube/client.ts';
import type { ObjectCache } from '../platform/kube/cache.ts';
import { isConflict, isNotFound } from '../platform/kube/error.ts';
import { apiVersionOf } from '../platform/kube/resource.ts';
import type { WorkResult } from '../platform/kube/work-queue.ts';
import type { Logger } from '../platform/log.ts';
import type { Copies } from './copies.ts';
import { decide, isMadeForPods } from './decide.ts';
import type { AppliedSpec, CopyAction, Gathered, ImageEvent } from './decide.ts';
import type { Writer } from './fenced.ts';
import type { NodePlatforms } from './node-platforms.ts';
import { imageRecords } from './resources.ts';
import type { ImageRecord } from './resources.ts';
import type { UsageIndex } from './usage.ts';

const FIELD_MANAGER = 'larder-controller';
/** Somebody wrote in between: by then the watch has told us what. */
const AFTER_CONFLICT_MS = 200;

export interface ReconcilerOptions {
  readonly images: ObjectCache<ImageRecord>;
  readonly usage: UsageIndex;
  readonly platforms: NodePlatforms;
  readonly copies: Copies;
  readonly writer: Writer;
  /** Tells users about an image; never throws. */
  readonly tell: (image: CachedImage, event: ImageEvent) => void;
  readonly clock: Clock;
  readonly log: Logger;
}

export class Reconciler {
  private readonly options: ReconcilerOptions;

  constructor(options: ReconcilerOptions) {
    this.options = options;
  }

  /** @throws KubeError when something could not be written; the queue then tries again */
  readonly reconcile = async (name: string, signal: AbortSignal): Promise<WorkResult> => {
    const gathered = this.gather(name);
    const decision = decide(gathered);
    try {
      if (decision.apply !== undefined) await this.applySpec(name, gathered.image, decision.apply, signal);
      if (gathered.image !== undefined && decision.status !== undefined) {
        await this.writeStatus(gathered.image, decision.status, signal);
      }
    } catch (error) {
      if (isConflict(error) || isNotFound(error)) return { requeueAfterMs: AFTER_CONFLICT_MS };
      throw error;
    }
    this.actOnCopy(name, decision.copy);
    for (const event of decision.events) {
      if (gathered.image !== undefined) this.options.tell(gathered.image, event);
    }
    return decision.againInMs === undefined ? undefined : { requeueAfterMs: decision.againInMs };
  };

  private gather(name: string): Gathered {
    const { images, usage, platforms, copies, clock } = this.options;
    const record = images.get(name);
    const users = usage.of(record === undefined ? name : (record.standsFor ?? ''));
    return {
      ...(record === undefined ? {} : { image: record.image }),
      ...(users === undefined ? {} : { usage: users }),
      nodePlatforms: platforms.all(),
      copy: copies.state(name),
      now: clock.now(),
    };
  }

  private async applySpec(
    name: string,
    image: CachedImage | undefined,
    spec: AppliedSpec,
    signal: AbortSignal,
  ): Promise<void> {
    const forPods = image === undefined || isMadeForPods(image);
    const labels = { [MADE_FOR_LABEL]: MADE_FOR_PODS };
    const patch = applied(
      { name, ...(forPods ? { labels } : {}) },
      { spec: { ...spec, ...(image === undefined ? {} : { image: image.spec.image }) } },
    );
    await this.write(name, patch, { signal });
    if (image === undefined) this.options.log.info('image wanted', { image: spec.image, name });
  }

  private async writeStatus(
    image: CachedImage,
    status: CachedImageStatus,
    signal: AbortSignal,
  ): Promise<void> {
    if (isDeepStrictEqual(plain(image.status ?? {}), plain(status))) return;
    const { name, resourceVersion } = image.metadata;
    // The version makes it fail when somebody wrote in between: then we decided from what is no longer so.
    const patch = applied({ name, resourceVersion }, { status });
    await this.write(name, patch, { subresource: 'status', signal });
  }

  /** The cache knows at once what was written, and need not wait for the watch to tell. */
  private async write(name: string, patch: Patch, options: WriteOptions): Promise<void> {
    const { images, writer } = this.options;
    images.apply({ type: 'upsert', object: await writer.patch(imageRecords, { name }, patch, options) });
  }

  private actOnCopy(name: string, action: CopyAction | undefined): void {
    const { copies } = this.options;
    if (action?.do === 'start') copies.start(name, action.request, action.priority);
    if (action?.do === 'cancel') copies.cancel(name);
    if (action?.do === 'settle') copies.settle(name);
  }
}

/** A server-side apply: what others set beside our fields stays theirs, and sets are united. */
function applied(metadata: object, content: object): Patch {
  const body = { apiVersion: apiVersionOf(imageRecords), kind: imageRecords.kind, metadata, ...content };
  return { type: 'apply', body, fieldManager: FIELD_MANAGER, force: true };
}

/** Without fields that are there but undefined, as it goes over the wire. */
function plain(value: object): unknown {
  return JSON.parse(JSON.stringify(value));
}
