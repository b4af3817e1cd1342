/** Rescues pods whose containers wait for an image that cannot be pulled: gather, decide, apply. */
import { cachedImageName } from '../../api/names.ts';
import { CONDITION_READY, CONDITION_UPSTREAM_AVAILABLE } from '../../api/reasons.ts';
import type { Clock } from '../../platform/clock.ts';
import type { ObjectCache } from '../../platform/kube/cache.ts';
import { findCondition } from '../../platform/kube/conditions.ts';
import { isConflict, isNotFound, KubeError } from '../../platform/kube/error.ts';
import { type EventRecorder, type EventToRecord, subjectOf } from '../../platform/kube/events.ts';
import { keyOf } from '../../platform/kube/resource.ts';
import { WorkQueue, type WorkResult } from '../../platform/kube/work-queue.ts';
import type { Logger } from '../../platform/log.ts';
import { type Component, loop } from '../../platform/run.ts';
import type { Writer } from '../cluster/fenced.ts';
import { type ImageRecord, type PodRecord, podRecords } from '../cluster/resources.ts';
import type { WantedImage } from '../cluster/pod-view.ts';
import type { UsageIndex } from '../cluster/usage.ts';
import type { ContainerRef, StuckPod } from '../cluster/stuck-pod.ts';
import { hideCapabilities } from '../../platform/redact.ts';
import type { CapabilityOf } from '../../registry/core/cached-name.ts';
import type { CapabilityKey } from '../../registry/core/capability.ts';
import { decideRescue, type Plight, type Rescue } from './decide.ts';
import { imageInCache, isTenantName, lacksCapability, originalImage } from './other-image.ts';
import { patchImages } from './patch-images.ts';

/**
 * How often to look again at a stuck pod: by then a proxy may work, a copy be done, or our patience be over.
 */
const LOOK_AGAIN_MS = 3_000;
const AT_ONCE = 8;

export interface RescuerOptions {
  readonly pods: ObjectCache<PodRecord>;
  /** The CachedImages that stand for an image, by the name that {@link cachedImageName} gives it. */
  readonly standingFor: (name: string) => readonly ImageRecord[];
  readonly usage: UsageIndex;
  readonly writer: Writer;
  readonly events: Pick<EventRecorder, 'record'>;
  /** Called for every container that was rescued. */
  readonly onRescue: (reason: Rescue['reason']) => void;
  /** Whether a proxy is ready on a node. */
  readonly proxyWorks: (node: string) => boolean;
  /** Whether a proxy is ready there that can serve the names of private images. */
  readonly proxyServesTenants: (node: string) => boolean;
  readonly proxyHost: string;
  readonly capabilityOf: CapabilityOf;
  readonly capabilityKeys: () => readonly CapabilityKey[];
  readonly patienceMs: number;
  readonly clock: Clock;
  readonly log: Logger;
}

/** `isTenants`: whether its name in the cache is that of a private image. */
type Names = Pick<Plight, 'throughProxy' | 'refusedByProxies' | 'other' | 'renewed'> & {
  readonly isTenants: boolean;
};

interface Helped {
  readonly container: ContainerRef;
  readonly rescue: Rescue;
}

export class Rescuer {
  readonly #options: RescuerOptions;
  /** By pod: since when it is known to be stuck, by the monotonic clock. */
  readonly #stuckSince = new Map<string, number>();
  /** Uids of pods that the API server, or a policy of the cluster, has not let us change. */
  readonly #refused = new Set<string>();
  /** Uids of pods that were told that their volumes cannot be mended. */
  readonly #toldOfVolume = new Set<string>();
  readonly #queue: WorkQueue;

  /** Create it before the watch of pods starts. */
  constructor(options: RescuerOptions) {
    this.#options = options;
    const { pods, log, clock } = options;
    this.#queue = new WorkQueue({ name: 'rescue', concurrency: AT_ONCE, log, clock });
    pods.onChange(({ before, after }) => {
      const key = keyOf(after ?? before ?? {});
      if (after?.stuck !== undefined) this.#queue.add(key);
      else if (before?.stuck !== undefined) this.#forget(key, before.stuck);
      if (after === undefined) this.#toldOfVolume.delete(before?.metadata.uid ?? '');
    });
  }

  /** @param synced resolves once all that decisions depend on is known */
  component(synced: (signal: AbortSignal) => Promise<void>): Component {
    return loop('rescue', async (signal) => {
      await synced(signal);
      await this.#queue.run(this.#work, signal);
    });
  }

  readonly #work = async (key: string, signal: AbortSignal): Promise<WorkResult> => {
    const record = this.#options.pods.getByKey(key);
    if (record?.stuck === undefined || this.#refused.has(record.stuck.uid)) return undefined;
    const { stuck } = record;
    this.#tellOfVolumes(record, stuck);
    const helped = stuck.containers.flatMap((container) => {
      const rescue = decideRescue(this.#gather(key, record, stuck, container), this.#options.patienceMs);
      return rescue === undefined ? [] : [{ container, rescue }];
    });
    if (helped.length > 0) await this.#apply(record, stuck, helped, signal);
    return { requeueAfterMs: LOOK_AGAIN_MS };
  };

  #gather(key: string, record: PodRecord, stuck: StuckPod, container: ContainerRef): Plight {
    const { usage, standingFor, proxyWorks, proxyServesTenants, clock } = this.#options;
    const { notes, node } = stuck;
    const [wanted] =
      record.view === undefined ? [] : usage.wantedBy({ ...record.view, images: [container.image] });
    const { isTenants, ...names } = this.#names(container.image, notes.originals?.[container.name], wanted);
    const images = wanted === undefined ? [] : standingFor(cachedImageName(wanted.reference, wanted.tenant));
    const some = (type: string, status: string): boolean =>
      images.some(({ image }) => findCondition(image.status?.conditions, type)?.status === status);
    const now = clock.monotonic();
    const since = this.#stuckSince.get(key) ?? now;
    this.#stuckSince.set(key, since);
    return {
      ...names,
      node,
      proxyWorks: isTenants ? proxyServesTenants(node) : proxyWorks(node),
      cached: some(CONDITION_READY, 'True'),
      upstreamDown: some(CONDITION_UPSTREAM_AVAILABLE, 'False'),
      rescued: notes.rescued?.[container.name] !== undefined,
      stuckMs: now - since,
    };
  }

  /**
   * What there is to know of a container's image from its names alone.
   * @param claimed its original according to the annotation
   */
  #names(image: string, claimed: string | undefined, wanted: WantedImage | undefined): Names {
    const { proxyHost } = this.#options;
    const original = originalImage(image, claimed, proxyHost);
    const inCache = wanted && this.#nameInCache(original ?? image, wanted.tenant);
    const refusedByProxies = this.#isRefused(image);
    if (original === undefined) {
      const isTenants = wanted?.tenant !== undefined;
      return { throughProxy: false, refusedByProxies, isTenants, ...(inCache && { other: inCache }) };
    }
    const renewed = refusedByProxies && wanted?.tenant !== undefined ? inCache : undefined;
    return {
      throughProxy: true,
      refusedByProxies,
      isTenants: isTenantName(image, proxyHost),
      other: original,
      ...(renewed && { renewed }),
    };
  }

  /** Undefined also for a private image while no key is known that could make its capability. */
  #nameInCache(image: string, tenant: string | undefined): string | undefined {
    if (tenant !== undefined && this.#options.capabilityKeys().length === 0) return undefined;
    return imageInCache(image, tenant, this.#options);
  }

  #isRefused(image: string): boolean {
    const { proxyHost, capabilityKeys } = this.#options;
    return lacksCapability(image, proxyHost, capabilityKeys());
  }

  /** The image of a volume cannot be changed, so a pod that waits for one with a void name waits for ever. */
  #tellOfVolumes({ metadata }: PodRecord, { uid, node, volumeImages }: StuckPod): void {
    if (this.#toldOfVolume.has(uid) || !this.#options.proxyServesTenants(node)) return;
    const image = volumeImages.find((each) => this.#isRefused(each));
    if (image === undefined) return;
    this.#toldOfVolume.add(uid);
    const note =
      `The proxies no longer accept the name ${hideCapabilities(image)}, and the image of a volume cannot be ` +
      'changed. Delete this Pod, so that its owner makes a new one.';
    this.#tell(metadata, uid, 'Warning', 'CachedNameVoid', note);
  }

  /** @throws KubeError when the API server is in trouble; the queue then tries again */
  async #apply(
    { metadata }: PodRecord,
    { uid, notes }: StuckPod,
    helped: readonly Helped[],
    signal: AbortSignal,
  ): Promise<void> {
    const { writer, pods, log, onRescue } = this.#options;
    const { name = '', namespace = '', resourceVersion = '' } = metadata;
    const changes = helped.map(({ container, rescue: { image, reason } }) => ({ container, image, reason }));
    const patch = patchImages(resourceVersion, notes, changes);
    try {
      pods.apply({
        type: 'upsert',
        object: await writer.patch(podRecords, { name, namespace }, patch, { signal }),
      });
    } catch (error) {
      // The pod has changed or gone; the watch brings that.
      if (isConflict(error) || isNotFound(error)) return;
      if (!isRefusal(error)) throw error;
      this.#refused.add(uid);
      const { status } = error;
      // The server repeats what we asked for.
      const message = hideCapabilities(error.message);
      log.warn('pod may not be rescued', { pod: name, namespace, status, error: message });
      this.#tell(metadata, uid, 'Warning', 'RescueRefused', `Larder may not change its images: ${message}`);
      return;
    }
    // A new name has as much time as the first one had.
    if (helped.some(({ rescue }) => rescue.reason === 'CachedNameRenewed'))
      this.#stuckSince.delete(keyOf({ metadata }));
    for (const { container, rescue } of helped) {
      const { reason, image, because } = rescue;
      const [now, before] = [hideCapabilities(image), hideCapabilities(container.image)];
      const note = `Container ${container.name} now takes ${now} instead of ${before}, for ${because}.`;
      log.info('pod rescued', { pod: name, namespace, container: container.name, reason, image: now });
      this.#tell(metadata, uid, 'Normal', reason, note);
      onRescue(reason);
    }
  }

  #tell(
    { name = '', namespace = '' }: PodRecord['metadata'],
    uid: string,
    type: EventToRecord['type'],
    reason: string,
    note: string,
  ): void {
    const regarding = subjectOf(podRecords, { metadata: { name, namespace, uid } });
    this.#options.events.record({ regarding, type, reason, action: 'Rescue', note });
  }

  #forget(key: string, { uid }: StuckPod): void {
    this.#stuckSince.delete(key);
    this.#refused.delete(uid);
  }
}

/** A refusal for good: trying again would not help. */
function isRefusal(error: unknown): error is KubeError {
  return error instanceof KubeError && [403, 422].includes(error.status);
}
