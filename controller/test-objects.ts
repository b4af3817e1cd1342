/** Builders of test objects: each returns a plain one, which a test changes as it needs. */
import { type CachedImage, type CachedImageSpec, parseCachedImage } from '../api/cached-image.ts';
import { API_GROUP, API_VERSION, cachedImageName } from '../api/names.ts';
import type { Pod } from '../platform/kube/resource.ts';
import { cacheReference } from '../registry/core/cached-name.ts';
import { parseReference } from '../registry/core/reference.ts';
import type { CacheScope } from './cluster/pod-view.ts';
import type { ImageUsage } from './cluster/usage.ts';
import type { Gathered } from './image/decision.ts';
import type { LifeRules } from './image/life-rules.ts';
import type { JobFailure } from './jobs/job-state.ts';
import type { CopyRequest, RemoveRequest } from './jobs/orders.ts';

export const NOW = Date.parse('2026-11-21T03:00:00Z');
export const DIGEST = `sha256:${'a'.repeat(64)}`;

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;

export const LIFE: LifeRules = {
  expireAfterMs: 30 * DAY,
  keepLost: true,
  dropAfterMs: 10 * MINUTE,
  refreshEveryMs: HOUR,
  verifyEveryMs: HOUR,
  keepPreviousMs: HOUR,
  cache: true,
  retain: false,
  platforms: [],
  deleteDeadlineMs: 10 * MINUTE,
};

export const SCOPE: CacheScope = {
  rules: {
    mode: 'optIn',
    publicRepositories: ['docker.io/library/*'],
    include: { images: ['*'], namespaces: ['*'] },
    exclude: { images: [], namespaces: ['kube-system', 'larder'] },
    proxyNodeSelector: {},
    nodesWithoutProxy: [],
    minReadyProxiesPercent: 50,
  },
  policies: [],
  proxyHost: 'localhost:7439',
};

export function pod(image: string, changes: { metadata?: object; spec?: object; status?: object } = {}): Pod {
  return {
    metadata: { name: 'web', namespace: 'team-a', ...changes.metadata },
    spec: { containers: [{ name: 'main', image }], ...changes.spec },
    status: { phase: 'Running', ...changes.status },
  };
}

export function cachedImage(
  image: string,
  changes: { metadata?: object; spec?: Partial<CachedImageSpec>; status?: object } = {},
): CachedImage {
  return parseCachedImage({
    apiVersion: `${API_GROUP}/${API_VERSION}`,
    kind: 'CachedImage',
    metadata: {
      name: cachedImageName(parseReference(image), changes.spec?.tenant),
      generation: 1,
      resourceVersion: '7',
      ...changes.metadata,
    },
    spec: { image, ...changes.spec },
    ...(changes.status === undefined ? {} : { status: changes.status }),
  });
}

/** The status of an image that was copied for linux/amd64. */
export const COPIED = {
  digest: DIGEST,
  sizeBytes: 73_400_320,
  size: '70 MiB',
  platforms: ['linux/amd64'],
  requestedPlatforms: ['linux/amd64'],
};

export function usageOf(image: string, changes: Partial<ImageUsage> = {}): ImageUsage {
  return {
    reference: cacheReference(parseReference(image)),
    pods: 1,
    waitingPods: 0,
    namespaces: ['team-a'],
    pullSecrets: [],
    digests: [],
    ...changes,
  };
}

export function copyRequest(image: string, changes: Partial<CopyRequest> = {}): CopyRequest {
  return {
    reference: cacheReference(parseReference(image)),
    platforms: ['linux/amd64'],
    pullSecrets: [],
    ...changes,
  };
}

export const REMOVAL: RemoveRequest = { targets: [], sizeBytes: 0 };

export function jobFailure(changes: Partial<JobFailure> = {}): JobFailure {
  return {
    reason: 'NotFound',
    message: 'the registry has no such image',
    failures: 1,
    at: NOW - 1_000,
    retryAt: NOW + 9_000,
    ...changes,
  };
}

export function gathered(changes: Partial<Gathered> = {}): Gathered {
  return {
    hasSibling: false,
    pinnedDigests: [],
    nodePlatforms: ['linux/amd64'],
    copy: { phase: 'idle' },
    isCopyingIntoRepository: false,
    check: { phase: 'idle' },
    verify: { phase: 'idle', lastAt: NOW - MINUTE },
    remove: { phase: 'idle' },
    lifeRules: LIFE,
    isEvicted: false,
    leadingSince: NOW - MINUTE,
    now: NOW,
    ...changes,
  };
}
