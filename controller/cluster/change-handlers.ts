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
  /** By what a pod wants an image, as that is now. */
  readonly scope: () => CacheScope;
  /** Is given the name of every CachedImage, existing or wanted, that a change may concern. */
  readonly imageQueue: Pick<WorkQueue, 'add'>;
}

export class ChangeHandlers {
  readonly #options: ChangeHandlersOptions;

  constructor(options: ChangeHandlersOptions) {
    this.#options = options;
  }

  /** Those that the pod wants, and those that it wanted before. */
  readonly onPodChange: ChangeHandler<PodRecord> = ({ before, after }) => {
    const record = after ?? before;
    if (record !== undefined) this.#touchImages(this.#options.usage.setPod(keyOf(record), after?.view));
  };

  /** The one that has changed; also when we changed it ourselves. */
  readonly onImageChange: ChangeHandler<ImageRecord> = ({ before, after }) => {
    this.#touch((after ?? before)?.metadata.name ?? '');
  };

  /** All that its pods want, once it asks for the cache or no longer does. */
  readonly onNamespaceChange: ChangeHandler<NamespaceRecord> = ({ before, after }) => {
    const { usage, scope } = this.#options;
    const isAsking = after !== undefined && namespaceAsks(scope().rules, after.cacheLabel);
    this.#touchImages(usage.setNamespace((after ?? before)?.metadata.name ?? '', isAsking));
  };

  /** All that pods want by the administrator's new rules, or wanted by the old ones. */
  readonly onRulesChange = (): void => {
    const { namespaces, usage, scope } = this.#options;
    const { rules } = scope();
    for (const record of namespaces.values())
      this.#touchImages(
        usage.setNamespace(record.metadata.name ?? '', namespaceAsks(rules, record.cacheLabel)),
      );
    this.#touchImages(usage.setScope(scope()));
  };

  /** All CachedImages, once there is a platform more or less. */
  readonly onNodeChange: ChangeHandler<NodeRecord> = ({ before, after }) => {
    const name = (after ?? before)?.metadata.name ?? '';
    if (this.#options.platforms.setNode(name, after?.platform)) this.#touchAll();
  };

  /** All CachedImages. A change of the policy's status, which counts images, does not concern them. */
  readonly onPolicyChange: ChangeHandler<WatchedPolicy> = ({ before, after }) => {
    const { usage, scope } = this.#options;
    if (isDeepStrictEqual(before?.policy, after?.policy)) return;
    if ([before, after].some((record) => record?.policy?.spec.cache !== undefined)) {
      this.#touchImages(usage.setScope(scope()));
    }
    this.#touchAll();
  };

  /** The CachedImages of those names, and others that stand for the same images. */
  #touchImages(names: Iterable<string>): void {
    for (const name of names) {
      this.#touch(name);
      for (const { metadata } of this.#options.images.byIndex(BY_IMAGE, name))
        this.#touch(metadata.name ?? '');
    }
  }

  #touchAll(): void {
    for (const { metadata } of this.#options.images.values()) this.#touch(metadata.name ?? '');
  }

  #touch(name: string): void {
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
