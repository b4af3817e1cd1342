/**
 * The resources that the controller watches, cut down to what it uses: there may be many thousands of each.
 */
import { type CachePolicy, parseCachePolicy } from '../../api/cache-policy.ts';
import { type CachedImage, parseCachedImage } from '../../api/cached-image.ts';
import {
  API_GROUP,
  API_VERSION,
  CACHE_POLICY_KIND,
  CACHE_POLICY_PLURAL,
  CACHE_LABEL,
  CACHED_IMAGE_KIND,
  CACHED_IMAGE_PLURAL,
  cachedImageName,
  COLLECT_ANNOTATION,
  IMAGE_CACHE_KIND,
  IMAGE_CACHE_PLURAL,
} from '../../api/names.ts';
import type { ImageCacheStatus } from '../../api/image-cache.ts';
import { repositoryOf } from '../../api/stored-image.ts';
import type { Condition } from '../../platform/kube/conditions.ts';
import {
  type KubeObject,
  type Namespace,
  namespaces,
  type Node,
  nodes,
  type ObjectMeta,
  type Pod,
  pods,
  type Resource,
} from '../../platform/kube/resource.ts';
import { RegistryError } from '../../registry/core/errors.ts';
import { parseReference, type Reference } from '../../registry/core/reference.ts';
import { platformOf } from './node-platforms.ts';
import { type PodView, viewPod } from './pod-view.ts';
import { type ReadyProxy, viewReadyProxy } from './proxies.ts';
import { hasStartupTaint } from './startup-taint.ts';
import { type StuckPod, viewStuck } from './stuck-pod.ts';
import { unlessInvalid } from './unless-invalid.ts';

interface Kept extends KubeObject {
  readonly metadata: ObjectMeta;
}

/** `view` is absent for pods that need nothing from the cache. */
export interface PodRecord extends Kept {
  readonly view?: PodView;
  /** Absent when no container of the pod waits for an image that cannot be pulled. */
  readonly stuck?: StuckPod;
  /** Absent for a pod that is no proxy, or not ready. */
  readonly proxy?: ReadyProxy;
}

export interface NamespaceRecord extends Kept {
  /** The value of its label `larder.dev/cache`. */
  readonly cacheLabel?: string;
}

/** `platform` is absent until the kubelet has reported it. */
export interface NodeRecord extends Kept {
  readonly platform?: string;
  /** While it has the startup taint: when it was created, in milliseconds since the epoch. */
  readonly waitsSince?: number;
}

/**
 * `standsFor` is the name that `cachedImageName` gives its image. Somebody may have named the object
 * otherwise.
 */
export interface ImageRecord extends Kept {
  readonly image: CachedImage;
  readonly reference?: Reference;
  readonly standsFor?: string;
  /** The repository in the store that holds it. */
  readonly repository?: string;
}

/** A CachePolicy with its status. One that cannot be read has a `problem`, and applies to nothing. */
export interface WatchedPolicy extends Kept {
  readonly policy?: CachePolicy;
  readonly problem?: string;
  readonly matchedImages?: number;
  readonly conditions: readonly Condition[];
}

/** `collectRequest` is the value of the annotation that asks for a collection. */
export interface CacheRecord extends Kept {
  readonly status: ImageCacheStatus;
  readonly collectRequest?: string;
}

/** A Pod becomes what we keep of it here, as soon as the watch brings it. */
export const podRecords: Resource<PodRecord> = {
  ...pods,
  decode: (raw) => {
    const view = viewPod(raw as Pod);
    const stuck = viewStuck(raw as Pod);
    const proxy = viewReadyProxy(raw as Pod);
    return {
      metadata: withUid(raw),
      ...(view === undefined ? {} : { view }),
      ...(stuck === undefined ? {} : { stuck }),
      ...(proxy === undefined ? {} : { proxy }),
    };
  },
};

export const namespaceRecords: Resource<NamespaceRecord> = {
  ...namespaces,
  decode: (raw) => {
    const { metadata } = raw as Namespace;
    const cacheLabel = metadata?.labels?.[CACHE_LABEL];
    return { metadata: identity(raw), ...(cacheLabel === undefined ? {} : { cacheLabel }) };
  },
};

export const nodeRecords: Resource<NodeRecord> = {
  ...nodes,
  decode: (raw) => {
    const node = raw as Node;
    const platform = platformOf(node);
    return {
      metadata: identity(raw),
      ...(platform === undefined ? {} : { platform }),
      ...(hasStartupTaint(node)
        ? { waitsSince: Date.parse(node.metadata?.creationTimestamp ?? '') || 0 }
        : {}),
    };
  },
};

export const imageRecords: Resource<ImageRecord> = {
  group: API_GROUP,
  version: API_VERSION,
  kind: CACHED_IMAGE_KIND,
  plural: CACHED_IMAGE_PLURAL,
  namespaced: false,
  decode: (raw) => {
    const image = unlessInvalid(() => parseCachedImage(raw));
    if (image === undefined) return undefined;
    const { image: text, tenant } = image.spec;
    const place = unlessInvalid(() => {
      const reference = parseReference(text);
      const repository = repositoryOf({ reference, ...(tenant === undefined ? {} : { tenant }) });
      return { reference, standsFor: cachedImageName(reference, tenant), repository };
    });
    return { metadata: identity(raw), image, ...place };
  },
};

export const watchedPolicies: Resource<WatchedPolicy> = {
  group: API_GROUP,
  version: API_VERSION,
  kind: CACHE_POLICY_KIND,
  plural: CACHE_POLICY_PLURAL,
  namespaced: false,
  decode: (raw) => {
    const { metadata, status } = raw as KubeObject & {
      status?: { matchedImages?: number; conditions?: Condition[] };
    };
    const { generation } = metadata ?? {};
    return {
      metadata: { ...withUid(raw), ...(generation === undefined ? {} : { generation }) },
      ...readPolicy(raw),
      ...(status?.matchedImages === undefined ? {} : { matchedImages: status.matchedImages }),
      conditions: status?.conditions ?? [],
    };
  },
};

export const cacheRecords: Resource<CacheRecord> = {
  group: API_GROUP,
  version: API_VERSION,
  kind: IMAGE_CACHE_KIND,
  plural: IMAGE_CACHE_PLURAL,
  namespaced: false,
  decode: (raw) => {
    const { metadata, status = {} } = raw as KubeObject & { status?: ImageCacheStatus };
    const request = metadata?.annotations?.[COLLECT_ANNOTATION];
    return {
      metadata: withUid(raw),
      status,
      ...(request === undefined ? {} : { collectRequest: request }),
    };
  },
};

function readPolicy(raw: unknown): Pick<WatchedPolicy, 'policy' | 'problem'> {
  try {
    return { policy: parseCachePolicy(raw) };
  } catch (error) {
    if (error instanceof RegistryError) return { problem: error.message };
    throw error;
  }
}

function identity(raw: unknown): ObjectMeta {
  const { name, namespace, resourceVersion } = (raw as KubeObject).metadata ?? {};
  return {
    ...(name === undefined ? {} : { name }),
    ...(namespace === undefined ? {} : { namespace }),
    ...(resourceVersion === undefined ? {} : { resourceVersion }),
  };
}

/** For objects that Events are recorded about. */
function withUid(raw: unknown): ObjectMeta {
  const { uid } = (raw as KubeObject).metadata ?? {};
  return { ...identity(raw), ...(uid === undefined ? {} : { uid }) };
}
