/** Brings one CachedImage at a time to what it should be: gather, decide, apply. */
import { isDeepStrictEqual } from 'node:util';
import type { CachePolicy } from '../api/cache-policy.ts';
import type { CachedImage, CachedImageStatus } from '../api/cached-image.ts';
import type { CheckAnswer } from '../api/copier-api.ts';
import { CACHED_IMAGE_FINALIZER, cachedImageName, MADE_FOR_LABEL, MADE_FOR_PODS } from '../api/names.ts';
import type { Digest } from '../registry/core/digest.ts';
import { parseReference, reference } from '../registry/core/reference.ts';
import type { Clock } from '../platform/clock.ts';
import type { Patch, WriteOptions } from '../platform/kube/client.ts';
import type { ObjectCache } from '../platform/kube/cache.ts';
import { isConflict, isNotFound } from '../platform/kube/error.ts';
import { apiVersionOf } from '../platform/kube/resource.ts';
import type { WorkResult } from '../platform/kube/work-queue.ts';
import type { Logger } from '../platform/log.ts';
import type { Copies } from './copies.ts';
import { isMadeForPods } from './assess.ts';
import type { CopyRequest } from './copy-state.ts';
import { decide } from './decide.ts';
import type { AppliedSpec, Decision, Gathered, ImageEvent } from './decision.ts';
import type { Errands } from './errands.ts';
import type { RemovalAnswer, Verification } from './findings.ts';
import type { LifeRules } from './life-rules.ts';
import type { RemovalRequest } from './removals.ts';
import type { Suspicion } from './suspicion.ts';
import type { Writer } from './fenced.ts';
import type { NodePlatforms } from './node-platforms.ts';
import { imageRecords } from './resources.ts';
import { policyOf, rulesUnder } from './policies.ts';
import type { ImageRecord, PolicyRecord } from './resources.ts';
import type { ImageUsage, UsageIndex } from './usage.ts';

const FIELD_MANAGER = 'larder-controller';
/** Somebody wrote in between: by then the watch has told us what. */
const AFTER_CONFLICT_MS = 200;

/** Questions and orders beside copies, by what they are called in a decision. */
export interface ErrandRunners {
  readonly check: Errands<CopyRequest, CheckAnswer>;
  readonly verify: Errands<CopyRequest, Verification>;
  readonly remove: Errands<RemovalRequest, RemovalAnswer>;
}

export interface ReconcilerOptions {
  readonly images: ObjectCache<ImageRecord>;
  readonly standingFor: (name: string) => readonly ImageRecord[];
  readonly usage: UsageIndex;
  readonly platforms: NodePlatforms;
  readonly copies: Copies;
  readonly errands: ErrandRunners;
  readonly suspicion: Suspicion;
  readonly rules: LifeRules;
  readonly policies: ObjectCache<PolicyRecord>;
  /** Whether an image is to go because the cache holds more than it may. */
  readonly isEvicted: (name: string) => boolean;
  /** Who uses what, as the API server itself says. */
  readonly readUsers: () => Promise<UsageIndex>;
  readonly writer: Writer;
  readonly onExpired: (reason: string) => void;
  /** Tells users about an image; never throws. */
  readonly tell: (image: CachedImage, event: ImageEvent) => void;
  /** Tells the image's users about it, each once. */
  readonly tellPods: (name: string, image: string, status: CachedImageStatus) => void;
  readonly clock: Clock;
  readonly log: Logger;
}

export class Reconciler {
  private readonly options: ReconcilerOptions;
  private readonly termBegan: number;

  constructor(options: ReconcilerOptions) {
    this.options = options;
    this.termBegan = options.clock.now();
  }

  /** @throws KubeError when something could not be read or written; the queue then tries again */
  readonly reconcile = async (name: string, signal: AbortSignal): Promise<WorkResult> => {
    const gathered = this.gather(name);
    const decision = decide(gathered);
    const { image } = gathered;
    try {
      await this.write(name, image, decision, signal);
      if (image !== undefined && decision.expire !== undefined) {
        await this.expire(image, decision.expire, signal);
      }
    } catch (error) {
      if (isConflict(error) || isNotFound(error)) return { requeueAfterMs: AFTER_CONFLICT_MS };
      throw error;
    }
    this.act(name, decision);
    if (image === undefined) this.forget(name);
    if (image !== undefined) this.tell(name, image, decision);
    return decision.againInMs === undefined ? undefined : { requeueAfterMs: decision.againInMs };
  };

  private gather(name: string): Gathered {
    const { images, usage, platforms, copies, errands, rules, suspicion, isEvicted, clock } = this.options;
    const record = images.get(name);
    const users = usage.of(record === undefined ? name : (record.standsFor ?? ''));
    const repository = record?.repository;
    const policy = this.policy(record, users);
    return {
      ...(record === undefined ? {} : { image: record.image }),
      ...this.relatives(record),
      ...(users === undefined ? {} : { usage: users }),
      nodePlatforms: platforms.all(),
      copy: copies.state(name),
      copiesInRepository: repository !== undefined && copies.isCopyingInto(repository),
      check: errands.check.state(name),
      verify: errands.verify.state(name),
      removal: errands.remove.state(name),
      rules: rulesUnder(rules, policy),
      evict: isEvicted(name),
      termBegan: this.termBegan,
      ...(suspicion.at === undefined ? {} : { suspectedAt: suspicion.at }),
      now: clock.now(),
    };
  }

  private policy(record: ImageRecord | undefined, users: ImageUsage | undefined): CachePolicy | undefined {
    const reference = users?.reference ?? record?.reference;
    const policies = [...this.options.policies.values()].flatMap(({ policy }) => policy ?? []);
    if (reference === undefined || policies.length === 0) return undefined;
    return policyOf(policies, reference, record?.image.spec.tenant ?? users?.tenant, users?.namespaces ?? []);
  }

  /** Which other CachedImages look after the same image, or after what its tag named before. */
  private relatives(record: ImageRecord | undefined): Pick<Gathered, 'hasSibling' | 'pinnedDigests'> {
    if (record?.standsFor === undefined) return { hasSibling: false, pinnedDigests: [] };
    const { spec, status, metadata } = record.image;
    const staying = (name: string): boolean =>
      this.options
        .standingFor(name)
        .some(
          ({ image: other }) => other.metadata.name !== metadata.name && !other.metadata.deletionTimestamp,
        );
    const image = parseReference(spec.image);
    const nameOf = (digest: string): string =>
      cachedImageName(reference(image, undefined, digest as Digest), spec.tenant);
    return {
      hasSibling: staying(record.standsFor),
      pinnedDigests: (status?.previousDigests ?? [])
        .map(({ digest }) => digest)
        .filter((digest) => staying(nameOf(digest))),
    };
  }

  private async write(
    name: string,
    image: CachedImage | undefined,
    { apply, finalizer, status }: Decision,
    signal: AbortSignal,
  ): Promise<void> {
    let current = image;
    if (apply !== undefined) current = await this.applySpec(name, image, apply, signal);
    else if (image !== undefined && finalizer !== undefined) {
      current = await this.setFinalizer(image, finalizer, signal);
    }
    if (image === undefined || current === undefined || status === undefined) return;
    await this.writeStatus(current, status, signal);
  }

  private async applySpec(
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
    const { image: applied } = await this.patch(name, patch, { signal });
    if (image === undefined) this.options.log.info('image wanted', { image: spec.image, name });
    return applied;
  }

  /** The version makes it fail when somebody wrote in between. */
  private async setFinalizer(
    image: CachedImage,
    change: 'add' | 'remove',
    signal: AbortSignal,
  ): Promise<CachedImage> {
    const { name, resourceVersion, finalizers = [] } = image.metadata;
    const others = finalizers.filter((finalizer) => finalizer !== CACHED_IMAGE_FINALIZER);
    const next = change === 'add' ? [...others, CACHED_IMAGE_FINALIZER] : others;
    const body = { metadata: { resourceVersion, finalizers: next } };
    return (await this.patch(name, { type: 'merge', body }, { signal })).image;
  }

  /** Deletes an image that has expired; the deletion fails when anybody wrote to it since it was decided. */
  private async expire(
    image: CachedImage,
    reason: NonNullable<Decision['expire']>,
    signal: AbortSignal,
  ): Promise<void> {
    const { images, readUsers, writer, onExpired, tell, log } = this.options;
    const { metadata } = image;
    const { name, uid, resourceVersion } = images.get(metadata.name)?.image.metadata ?? metadata;
    const standsFor = images.get(name)?.standsFor ?? name;
    if ((await readUsers()).of(standsFor) !== undefined) return;
    const preconditions = { ...(uid ? { uid } : {}), ...(resourceVersion ? { resourceVersion } : {}) };
    await writer.delete(imageRecords, { name }, { ...preconditions, signal });
    onExpired(reason);
    tell(image, { type: 'Normal', reason, message: EXPIRY[reason] });
    log.info('image expired', { name, reason });
  }

  private async writeStatus(
    image: CachedImage,
    status: CachedImageStatus,
    signal: AbortSignal,
  ): Promise<void> {
    if (isDeepStrictEqual(plain(image.status ?? {}), plain(status))) return;
    const { name, resourceVersion } = image.metadata;
    // The version makes it fail when somebody wrote in between: then we decided from what is no longer so.
    const patch = apply({ name, resourceVersion }, { status });
    await this.patch(name, patch, { subresource: 'status', signal });
  }

  /** The cache knows at once what was written, and need not wait for the watch to tell. */
  private async patch(name: string, patch: Patch, options: WriteOptions): Promise<ImageRecord> {
    const { images, writer } = this.options;
    const object = await writer.patch(imageRecords, { name }, patch, options);
    // Without its last finalizer it is gone; the watch tells.
    if (object.image.metadata.deletionTimestamp === undefined) images.apply({ type: 'upsert', object });
    return object;
  }

  private tell(name: string, image: CachedImage, { events, status }: Decision): void {
    const { images, tell, tellPods } = this.options;
    for (const event of events) tell(image, event);
    if (status !== undefined) tellPods(images.get(name)?.standsFor ?? name, image.spec.image, status);
  }

  private act(name: string, { copy, errands = [], settled = [], suspect }: Decision): void {
    const { copies, errands: runners, suspicion } = this.options;
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

  private forget(name: string): void {
    const { check, verify, remove } = this.options.errands;
    for (const errands of [check, verify, remove]) errands.forget(name);
  }
}

const EXPIRY = {
  Expired: 'no pod has used it for so long that it goes',
  Evicted: 'the cache holds more than it may, and of what no pod uses this was used longest ago',
} as const;

/** A server-side apply: what others set beside our fields stays theirs, and sets are united. */
function apply(metadata: object, content: object): Patch {
  const body = { apiVersion: apiVersionOf(imageRecords), kind: imageRecords.kind, metadata, ...content };
  return { type: 'apply', body, fieldManager: FIELD_MANAGER, force: true };
}

/** Without fields that are there but undefined, as it goes over the wire. */
function plain(value: object): unknown {
  return JSON.parse(JSON.stringify(value));
}
