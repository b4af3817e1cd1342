/**
 * Writes the spec, finalizer and status of a CachedImage as decided. Each write fails if somebody else wrote
 * meanwhile.
 */
import { isDeepStrictEqual } from 'node:util';
import type { CachedImage, CachedImageStatus } from '../../api/cached-image.ts';
import { CACHED_IMAGE_FINALIZER, MADE_FOR_LABEL, MADE_FOR_PODS } from '../../api/names.ts';
import type { ObjectCache } from '../../platform/kube/cache.ts';
import type { Patch, WriteOptions } from '../../platform/kube/client.ts';
import { apiVersionOf } from '../../platform/kube/resource.ts';
import type { Logger } from '../../platform/log.ts';
import type { Writer } from '../cluster/fenced.ts';
import { imageRecords, type ImageRecord } from '../cluster/resources.ts';
import type { UsageIndex } from '../cluster/usage.ts';
import { isMadeForPods } from './copy-rules.ts';
import type { AppliedSpec, Decision } from './decision.ts';

const FIELD_MANAGER = 'larder-controller';

export interface ImageWriterOptions {
  readonly images: ObjectCache<ImageRecord>;
  readonly writer: Writer;
  /** Reads from the API server which images pods use now. */
  readonly readUsage: () => Promise<UsageIndex>;
  readonly log: Logger;
}

export class ImageWriter {
  readonly #options: ImageWriterOptions;

  constructor(options: ImageWriterOptions) {
    this.#options = options;
  }

  /** @throws KubeError; a conflict when somebody else wrote meanwhile */
  async write(
    name: string,
    image: CachedImage | undefined,
    { apply, finalizer, status }: Decision,
    signal: AbortSignal,
  ): Promise<void> {
    let current = image;
    if (apply !== undefined) current = await this.#applySpec(name, image, apply, signal);
    else if (image !== undefined && finalizer !== undefined) {
      current = await this.#setFinalizer(image, finalizer, signal);
    }
    if (image === undefined || current === undefined || status === undefined) return;
    await this.#writeStatus(current, status, signal);
  }

  async #applySpec(
    name: string,
    image: CachedImage | undefined,
    spec: AppliedSpec,
    signal: AbortSignal,
  ): Promise<CachedImage> {
    const forPods = image === undefined || isMadeForPods(image);
    const labels = { [MADE_FOR_LABEL]: MADE_FOR_PODS };
    const patch = apply(
      { name, finalizers: [CACHED_IMAGE_FINALIZER], ...(forPods ? { labels } : {}) },
      { spec: { ...spec, ...(image === undefined ? {} : { image: image.spec.image }) } },
    );
    const { image: applied } = await this.#patch(name, patch, { signal });
    if (image === undefined) this.#options.log.info('image wanted', { image: spec.image, name });
    return applied;
  }

  /** The resourceVersion makes the write fail if somebody else wrote meanwhile. */
  async #setFinalizer(
    image: CachedImage,
    change: 'add' | 'remove',
    signal: AbortSignal,
  ): Promise<CachedImage> {
    const { name, resourceVersion, finalizers = [] } = image.metadata;
    const others = finalizers.filter((finalizer) => finalizer !== CACHED_IMAGE_FINALIZER);
    const next = change === 'add' ? [...others, CACHED_IMAGE_FINALIZER] : others;
    const body = { metadata: { resourceVersion, finalizers: next } };
    return (await this.#patch(name, { type: 'merge', body }, { signal })).image;
  }

  /**
   * Deletes a CachedImage.
   * @returns false when pods use it after all
   * @throws KubeError; a conflict when somebody wrote to it since the decision
   */
  async remove({ metadata }: CachedImage, signal: AbortSignal): Promise<boolean> {
    const { images, readUsage, writer } = this.#options;
    const record = images.get(metadata.name);
    const { name, uid, resourceVersion } = record?.image.metadata ?? metadata;
    if ((await readUsage()).of(record?.standsFor ?? name) !== undefined) return false;
    const preconditions = { ...(uid ? { uid } : {}), ...(resourceVersion ? { resourceVersion } : {}) };
    await writer.delete(imageRecords, { name }, { ...preconditions, signal });
    return true;
  }

  async #writeStatus(image: CachedImage, status: CachedImageStatus, signal: AbortSignal): Promise<void> {
    if (isDeepStrictEqual(plain(image.status ?? {}), plain(status))) return;
    const { name, resourceVersion } = image.metadata;
    // The resourceVersion makes the write fail if somebody else wrote meanwhile: the decision is then out of
    // date.
    const patch = apply({ name, resourceVersion }, { status });
    await this.#patch(name, patch, { subresource: 'status', signal });
  }

  /**
   * Puts what was written into our view of the cluster at once, without waiting for the watch. Its handlers
   * run, and the name is queued again.
   */
  async #patch(name: string, patch: Patch, options: WriteOptions): Promise<ImageRecord> {
    const { images, writer } = this.#options;
    const object = await writer.patch(imageRecords, { name }, patch, options);
    // An object being deleted may be gone with its last finalizer: that is for the watch to say.
    if (object.image.metadata.deletionTimestamp === undefined) images.apply({ type: 'upsert', object });
    return object;
  }
}

/** A server-side apply: it leaves the fields of others alone, and adds to sets. */
function apply(metadata: object, content: object): Patch {
  const body = { apiVersion: apiVersionOf(imageRecords), kind: imageRecords.kind, metadata, ...content };
  return { type: 'apply', body, fieldManager: FIELD_MANAGER, force: true };
}

/** As it goes over the wire: without fields whose value is undefined. */
function plain(value: object): unknown {
  return JSON.parse(JSON.stringify(value));
}
