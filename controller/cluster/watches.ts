/**
 * Watches the cluster. Objects are cut down as they come in, by the `decode` of each resource (resources.ts).
 * Each change goes to a handler, which queues the images that it concerns (change-handlers.ts).
 */
import { NOTHING_ALLOWED, type Rules } from '../../api/rules.ts';
import { ObjectCache, cacheWatch } from '../../platform/kube/cache.ts';
import type { KubeClient } from '../../platform/kube/client.ts';
import type { ConfigMapValue } from '../../platform/kube/config-map-value.ts';
import type { WorkQueue } from '../../platform/kube/work-queue.ts';
import type { Logger } from '../../platform/log.ts';
import type { Component } from '../../platform/run.ts';
import { BY_IMAGE, ChangeHandlers } from './change-handlers.ts';
import { NodePlatforms } from './node-platforms.ts';
import type { CacheScope } from './pod-view.ts';
import { readyProxies, type ReadyProxies } from './proxies.ts';
import {
  type CacheRecord,
  cacheRecords,
  type ImageRecord,
  imageRecords,
  type NamespaceRecord,
  namespaceRecords,
  type NodeRecord,
  nodeRecords,
  type PodRecord,
  podRecords,
  watchedPolicies,
  type WatchedPolicy,
} from './resources.ts';
import { UsageIndex } from './usage.ts';

export interface Watches extends ReadyProxies {
  readonly images: ObjectCache<ImageRecord>;
  readonly policies: ObjectCache<WatchedPolicy>;
  /** Holds the release's own ImageCache, once it has been created. */
  readonly caches: ObjectCache<CacheRecord>;
  /**
   * The CachedImages that stand for an image, by the name that `cachedImageName` gives it: one, unless users
   * made others.
   */
  readonly standingFor: (name: string) => readonly ImageRecord[];
  readonly pods: ObjectCache<PodRecord>;
  readonly nodes: ObjectCache<NodeRecord>;
  readonly usage: UsageIndex;
  /** As it is now. */
  readonly scope: () => CacheScope;
  readonly platforms: NodePlatforms;
  readonly components: readonly Component[];
  /** Resolves once every first list is in; a decision before that would not know enough. */
  readonly synced: (signal: AbortSignal) => Promise<void>;
}

export interface ClusterWatchOptions {
  readonly client: KubeClient;
  /** Of the release. */
  readonly namespace: string;
  /** Host and port that rewritten images name. */
  readonly proxyHost: string;
  readonly rules: ConfigMapValue<Rules>;
  /** Is given the name of every CachedImage, existing or wanted, that a change may concern. */
  readonly imageQueue: Pick<WorkQueue, 'add'>;
  readonly log: Logger;
}

export function watchCluster(options: ClusterWatchOptions): Watches {
  const { client, namespace, proxyHost, rules, imageQueue, log } = options;
  const images = new ObjectCache<ImageRecord>();
  const pods = new ObjectCache<PodRecord>();
  const namespaces = new ObjectCache<NamespaceRecord>();
  const nodes = new ObjectCache<NodeRecord>();
  const policies = new ObjectCache<WatchedPolicy>();
  const scope = (): CacheScope => ({
    rules: rules.get() ?? NOTHING_ALLOWED,
    policies: [...policies.values()].flatMap(({ policy }) => policy ?? []),
    proxyHost,
  });
  const caches = new ObjectCache<CacheRecord>();
  const usage = new UsageIndex(scope());
  const platforms = new NodePlatforms();
  images.addIndex(BY_IMAGE, ({ standsFor }) => (standsFor === undefined ? [] : [standsFor]));

  const handlers = new ChangeHandlers({ images, namespaces, usage, platforms, scope, imageQueue });
  images.onChange(handlers.onImageChange);
  pods.onChange(handlers.onPodChange);
  namespaces.onChange(handlers.onNamespaceChange);
  rules.onChange(handlers.onRulesChange);
  nodes.onChange(handlers.onNodeChange);
  policies.onChange(handlers.onPolicyChange);

  return {
    images,
    policies,
    caches,
    scope,
    standingFor: (name) => images.byIndex(BY_IMAGE, name),
    pods,
    nodes,
    ...readyProxies(pods, namespace),
    usage,
    platforms,
    components: [
      rules.component,
      cacheWatch(client, namespaceRecords, namespaces, { log }),
      cacheWatch(client, nodeRecords, nodes, { log }),
      cacheWatch(client, watchedPolicies, policies, { log }),
      cacheWatch(client, cacheRecords, caches, { log }),
      cacheWatch(client, imageRecords, images, { log }),
      cacheWatch(client, podRecords, pods, { log }),
    ],
    synced: async (signal) => {
      await rules.known(signal);
      await Promise.all([images, policies, pods, namespaces, nodes].map((cache) => cache.waitSynced(signal)));
    },
  };
}
