/**
 * What a change in the cluster means for images: each handler puts the names of the CachedImages that the change
 * may concern into the queue, also names that no CachedImage has yet. A fill begins in `onPodChange`.
 */
import { isDeepStrictEqual } from 'node:util';
import { namespaceAsks } from '../../api/rules.ts';
import type { ChangeHandler, ObjectCache } from '../../platform/kube/cache.ts';
import { keyOf } from '../../platform/kube/resource.ts';
import type { WorkQueue } from '../../platform/kube/work-queue.ts';
import type { NodePlatforms } from './node-platforms.ts';
import type { CacheScope } from './pod-view.ts';
import type { ImageRecord, NamespaceRecord, NodeRecord, PodRecord, WatchedPolicy } from './resources.ts';
import type { UsageIndex } from './usage.ts';

/** The index of CachedImages by the image that they stand for. */
export const BY_IMAGE = 'image';

export interface ChangeHandlersOptions {
  /** With an index `BY_IMAGE`. */
  readonly images: ObjectCache<ImageRecord>;
  readonly namespaces: ObjectCache<NamespaceRecord>;
  /** Kept up to date by the handlers, as are the platforms. */
  readonly usage: UsageIndex;
  readonly platforms: NodePlatforms;
  /** As it is now. */
  readonly scope: () => CacheScope;
  readonly imageQueue: Pick<WorkQueue, 'add'>;
}

export class ChangeHandlers {
  readonly #options: ChangeHandlersOptions;

  constructor(options: ChangeHandlersOptions) {
    this.#options = options;
  }

  /** Concerns the images that the pod wants, and those that it wanted before. */
  readonly onPodChange: ChangeHandler<PodRecord> = ({ before, after }) => {
    const record = after ?? before;
    if (record !== undefined) this.#enqueueImages(this.#options.usage.setPod(keyOf(record), after?.view));
  };

  /** Concerns the CachedImage itself, also when we wrote it: so a new one is decided about again. */
  readonly onImageChange: ChangeHandler<ImageRecord> = ({ before, after }) => {
    this.#enqueue((after ?? before)?.metadata.name ?? '');
  };

  /** Concerns all images of its pods, when the namespace begins or ceases to ask for the cache. */
  readonly onNamespaceChange: ChangeHandler<NamespaceRecord> = ({ before, after }) => {
    const { usage, scope } = this.#options;
    const isAsking = after !== undefined && namespaceAsks(scope().rules, after.cacheLabel);
    this.#enqueueImages(usage.setNamespace((after ?? before)?.metadata.name ?? '', isAsking));
  };

  /** Concerns all images that pods want under the administrator's new rules, or wanted under the old ones. */
  readonly onRulesChange = (): void => {
    const { namespaces, usage, scope } = this.#options;
    const { rules } = scope();
    for (const record of namespaces.values())
      this.#enqueueImages(
        usage.setNamespace(record.metadata.name ?? '', namespaceAsks(rules, record.cacheLabel)),
      );
    this.#enqueueImages(usage.setScope(scope()));
  };

  /** Concerns all CachedImages, but only when the cluster has gained or lost a platform. */
  readonly onNodeChange: ChangeHandler<NodeRecord> = ({ before, after }) => {
    const name = (after ?? before)?.metadata.name ?? '';
    if (this.#options.platforms.setNode(name, after?.platform)) this.#enqueueAll();
  };

  /** Concerns all CachedImages. A change of the policy's status, which counts images, concerns none. */
  readonly onPolicyChange: ChangeHandler<WatchedPolicy> = ({ before, after }) => {
    const { usage, scope } = this.#options;
    if (isDeepStrictEqual(before?.policy, after?.policy)) return;
    if ([before, after].some((record) => record?.policy?.spec.cache !== undefined)) {
      this.#enqueueImages(usage.setScope(scope()));
    }
    this.#enqueueAll();
  };

  /** Queues the CachedImages of those names, and others that stand for the same images. */
  #enqueueImages(names: Iterable<string>): void {
    for (const name of names) {
      this.#enqueue(name);
      for (const { metadata } of this.#options.images.byIndex(BY_IMAGE, name))
        this.#enqueue(metadata.name ?? '');
    }
  }

  #enqueueAll(): void {
    for (const { metadata } of this.#options.images.values()) this.#enqueue(metadata.name ?? '');
  }

  #enqueue(name: string): void {
    this.#options.imageQueue.add(name, { priority: this.#urgency(name) });
  }

  /** Images that have no CachedImage yet go first, then those that pods wait for. */
  #urgency(name: string): number {
    const { images, usage } = this.#options;
    const current = usage.of(name);
    if (current === undefined) return 0;
    if (images.get(name) === undefined) return 2;
    return current.waitingPods > 0 ? 1 : 0;
  }
}
