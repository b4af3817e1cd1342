/** The caches behind the decisions: what is watched, and which images every change touches. */
import { isDeepStrictEqual } from 'node:util';
import { ObjectCache, cacheWatch } from '../platform/kube/cache.ts';
import type { KubeClient } from '../platform/kube/client.ts';
import { keyOf } from '../platform/kube/resource.ts';
import type { Logger } from '../platform/log.ts';
import type { Component } from '../platform/run.ts';
import { NodePlatforms } from './node-platforms.ts';
import { imageRecords, namespaceRecords, nodeRecords, podRecords, policyRecords } from './resources.ts';
import type { ImageRecord, NamespaceRecord, NodeRecord, PodRecord, PolicyRecord } from './resources.ts';
import { UsageIndex } from './usage.ts';
import type { WantingRules } from './pod-view.ts';

const BY_CONTENT = 'standsFor';

export interface Watches {
  readonly images: ObjectCache<ImageRecord>;
  readonly policies: ObjectCache<PolicyRecord>;
  /** The CachedImages that stand for the image that is called so: one, unless users made others. */
  readonly standingFor: (name: string) => readonly ImageRecord[];
  readonly pods: ObjectCache<PodRecord>;
  readonly usage: UsageIndex;
  readonly platforms: NodePlatforms;
  readonly components: readonly Component[];
  /** Resolves when everything is known once; decisions before that would be made in ignorance. */
  readonly synced: (signal: AbortSignal) => Promise<void>;
}

/** @param touch called with the name of every CachedImage, existing or wanted, that a change may concern */
export function watchCluster(
  client: KubeClient,
  rules: WantingRules,
  log: Logger,
  touch: (name: string) => void,
): Watches {
  const images = new ObjectCache<ImageRecord>();
  const pods = new ObjectCache<PodRecord>();
  const namespaces = new ObjectCache<NamespaceRecord>();
  const nodes = new ObjectCache<NodeRecord>();
  const policies = new ObjectCache<PolicyRecord>();
  const usage = new UsageIndex(rules);
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
  namespaces.onChange(({ before, after }) => {
    const name = (after ?? before)?.metadata.name ?? '';
    touchContent(usage.setNamespace(name, after?.optedIn ?? false));
  });
  nodes.onChange(({ before, after }) => {
    const name = (after ?? before)?.metadata.name ?? '';
    if (!platforms.setNode(name, after?.platform)) return;
    touchAll();
  });
  policies.onChange(({ before, after }) => {
    // Its own status, which counts the images, changes nothing for them.
    if (!isDeepStrictEqual(before?.policy, after?.policy)) touchAll();
  });

  return {
    images,
    policies,
    standingFor: (name) => images.byIndex(BY_CONTENT, name),
    pods,
    usage,
    platforms,
    components: [
      cacheWatch(client, namespaceRecords, namespaces, { log }),
      cacheWatch(client, nodeRecords, nodes, { log }),
      cacheWatch(client, policyRecords, policies, { log }),
      cacheWatch(client, imageRecords, images, { log }),
      cacheWatch(client, podRecords, pods, { log }),
    ],
    synced: async (signal) => {
      await Promise.all([images, policies, pods, namespaces, nodes].map((cache) => cache.waitSynced(signal)));
    },
  };
}
