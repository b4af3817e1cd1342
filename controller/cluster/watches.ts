/** Watches the cluster, and says of every change which images it concerns. */
import { isDeepStrictEqual } from 'node:util';
import { namespaceAsks, NOTHING_ALLOWED, type Rules } from '../../api/rules.ts';
import { ObjectCache, cacheWatch } from '../../platform/kube/cache.ts';
import type { KubeClient } from '../../platform/kube/client.ts';
import type { ConfigMapValue } from '../../platform/kube/config-map-value.ts';
import { keyOf } from '../../platform/kube/resource.ts';
import type { WorkQueue } from '../../platform/kube/work-queue.ts';
import type { Logger } from '../../platform/log.ts';
import type { Component } from '../../platform/run.ts';
import { NodePlatforms } from './node-platforms.ts';
import type { WantingRules } from './pod-view.ts';
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

const BY_CONTENT = 'standsFor';

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
  /** The rules, as they are now, by which a pod wants an image. */
  readonly wanting: () => WantingRules;
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
  readonly queue: Pick<WorkQueue, 'add'>;
  readonly log: Logger;
}

export function watchCluster(options: ClusterWatchOptions): Watches {
  const { client, namespace, proxyHost, rules, queue, log } = options;
  const images = new ObjectCache<ImageRecord>();
  const pods = new ObjectCache<PodRecord>();
  const namespaces = new ObjectCache<NamespaceRecord>();
  const nodes = new ObjectCache<NodeRecord>();
  const policies = new ObjectCache<WatchedPolicy>();
  const wanting = (): WantingRules => ({
    rules: rules.get() ?? NOTHING_ALLOWED,
    policies: [...policies.values()].flatMap(({ policy }) => policy ?? []),
    proxyHost,
  });
  const caches = new ObjectCache<CacheRecord>();
  const usage = new UsageIndex(wanting());
  const platforms = new NodePlatforms();
  images.addIndex(BY_CONTENT, ({ standsFor }) => (standsFor === undefined ? [] : [standsFor]));

  const touch = (name: string): void => {
    queue.add(name, { priority: urgency(usage, images, name) });
  };
  /** The CachedImages of those names, and others that stand for the same images. */
  const touchContent = (names: Iterable<string>): void => {
    for (const name of names) {
      touch(name);
      for (const { metadata } of images.byIndex(BY_CONTENT, name)) touch(metadata.name ?? '');
    }
  };
  const touchAll = (): void => {
    for (const { metadata } of images.values()) touch(metadata.name ?? '');
  };
  images.onChange(({ before, after }) => {
    touch((after ?? before)?.metadata.name ?? '');
  });
  pods.onChange(({ before, after }) => {
    const record = after ?? before;
    if (record !== undefined) touchContent(usage.setPod(keyOf(record), after?.view));
  });
  const asks = (record: NamespaceRecord | undefined): boolean =>
    record !== undefined && namespaceAsks(rules.get() ?? NOTHING_ALLOWED, record.cacheLabel);
  namespaces.onChange(({ before, after }) => {
    touchContent(usage.setNamespace((after ?? before)?.metadata.name ?? '', asks(after)));
  });
  rules.onChange(() => {
    for (const record of namespaces.values())
      touchContent(usage.setNamespace(record.metadata.name ?? '', asks(record)));
    touchContent(usage.setRules(wanting()));
  });
  nodes.onChange(({ before, after }) => {
    const name = (after ?? before)?.metadata.name ?? '';
    if (!platforms.setNode(name, after?.platform)) return;
    touchAll();
  });
  policies.onChange(({ before, after }) => {
    // A change of its status, which counts images, does not concern them.
    if (isDeepStrictEqual(before?.policy, after?.policy)) return;
    if ([before, after].some((record) => record?.policy?.spec.cache !== undefined)) {
      touchContent(usage.setRules(wanting()));
    }
    touchAll();
  });

  return {
    images,
    policies,
    caches,
    wanting,
    standingFor: (name) => images.byIndex(BY_CONTENT, name),
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

/** Images that have no CachedImage yet go first, then those that pods wait for. */
function urgency(usage: UsageIndex, images: ObjectCache<ImageRecord>, name: string): number {
  const users = usage.of(name);
  if (users === undefined) return 0;
  if (images.get(name) === undefined) return 2;
  return users.waitingPods > 0 ? 1 : 0;
}
