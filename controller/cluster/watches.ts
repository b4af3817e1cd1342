/** The caches behind the decisions: what is watched, and which images every change touches. */
import { isDeepStrictEqual } from 'node:util';
import { namespaceAsks, NOTHING_ALLOWED, type Rules } from '../../api/rules.ts';
import { ObjectCache, cacheWatch } from '../../platform/kube/cache.ts';
import type { KubeClient } from '../../platform/kube/client.ts';
import type { ConfigMapValue } from '../../platform/kube/config-map-value.ts';
import { keyOf } from '../../platform/kube/resource.ts';
import type { Logger } from '../../platform/log.ts';
import type { Component } from '../../platform/run.ts';
import type { WantingRules } from './pod-view.ts';
import { NodePlatforms } from './node-platforms.ts';
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
  type PolicyRecord,
  policyRecords,
} from './resources.ts';
import { readyProxies } from './proxies.ts';
import { UsageIndex } from './usage.ts';

const BY_CONTENT = 'standsFor';

export interface Watches {
  readonly images: ObjectCache<ImageRecord>;
  readonly policies: ObjectCache<PolicyRecord>;
  /** The release's own ImageCache, once it is made. */
  readonly caches: ObjectCache<CacheRecord>;
  /** The CachedImages that stand for the image that is called so: one, unless users made others. */
  readonly standingFor: (name: string) => readonly ImageRecord[];
  readonly pods: ObjectCache<PodRecord>;
  readonly nodes: ObjectCache<NodeRecord>;
  /** Whether a proxy is ready on a node. */
  readonly proxyWorks: (node: string) => boolean;
  readonly usage: UsageIndex;
  /** What decides whether a pod wants an image, as it is now. */
  readonly wanting: () => WantingRules;
  readonly platforms: NodePlatforms;
  readonly components: readonly Component[];
  /** Resolves when everything is known once; decisions before that would be made in ignorance. */
  readonly synced: (signal: AbortSignal) => Promise<void>;
}

export interface WatchOptions {
  readonly client: KubeClient;
  /** The release's. */
  readonly namespace: string;
  /** Host and port that rewritten images name. */
  readonly proxyHost: string;
  readonly rules: ConfigMapValue<Rules>;
  readonly log: Logger;
}

/** @param touch called with the name of every CachedImage, existing or wanted, that a change may concern */
export function watchCluster(options: WatchOptions, touch: (name: string) => void): Watches {
  const { client, namespace, proxyHost, rules, log } = options;
  const images = new ObjectCache<ImageRecord>();
  const pods = new ObjectCache<PodRecord>();
  const namespaces = new ObjectCache<NamespaceRecord>();
  const nodes = new ObjectCache<NodeRecord>();
  const policies = new ObjectCache<PolicyRecord>();
  const wanting = (): WantingRules => ({
    rules: rules.get() ?? NOTHING_ALLOWED,
    policies: [...policies.values()].flatMap(({ policy }) => policy ?? []),
    proxyHost,
  });
  const caches = new ObjectCache<CacheRecord>();
  const usage = new UsageIndex(wanting());
  const platforms = new NodePlatforms();
  images.addIndex(BY_CONTENT, ({ standsFor }) => (standsFor === undefined ? [] : [standsFor]));

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
    // Its own status, which counts the images, changes nothing for them.
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
    proxyWorks: readyProxies(pods, namespace),
    usage,
    platforms,
    components: [
      rules.component,
      cacheWatch(client, namespaceRecords, namespaces, { log }),
      cacheWatch(client, nodeRecords, nodes, { log }),
      cacheWatch(client, policyRecords, policies, { log }),
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

/** First an image that has no CachedImage yet, then those that pods wait for. */
export function urgency({ usage, images }: Pick<Watches, 'usage' | 'images'>, name: string): number {
  const users = usage.of(name);
  if (users === undefined) return 0;
  if (images.get(name) === undefined) return 2;
  return users.waitingPods > 0 ? 1 : 0;
}
