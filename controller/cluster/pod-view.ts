/** The part of a Pod that matters to the cache, and which cached images the Pod wants. */
import { type CachePolicy, isToBeCached } from '../../api/cache-policy.ts';
import type { Pod } from '../../platform/kube/resource.ts';
import { CACHE_DISABLED, CACHE_LABEL, MIRROR_POD_ANNOTATION, REWRITTEN_LABEL } from '../../api/names.ts';
import { imageAllowed, namespaceAllowed, type Rules } from '../../api/rules.ts';
import { tenantOf } from '../../api/tenancy.ts';
import { cacheReference, originalOf, restoreImage } from '../../registry/core/cached-name.ts';
import { isLoopback } from '../../registry/core/host.ts';
import { InvalidReference, parseReference, type Reference } from '../../registry/core/reference.ts';

const FINISHED: readonly string[] = ['Succeeded', 'Failed'];

/** Kept for every pod of the cluster, so it is as small as possible. */
export interface PodView {
  readonly namespace: string;
  /** The pod's images in the order of its spec, without those that are never pulled. */
  readonly images: readonly string[];
  readonly pullSecrets: readonly string[];
  /** Whether admission rewrote it. It then depends on the cache, whatever its namespace's label says now. */
  readonly rewritten: boolean;
  /** Whether some of its containers have not started. */
  readonly waiting: boolean;
  /** The digests that its containers run, as the runtime reports them; tags may have moved since. */
  readonly digests: readonly string[];
}

/** An image that the cache should hold, and the secrets of the tenant's namespace that it is fetched with. */
export interface WantedImage {
  readonly reference: Reference;
  readonly tenant?: string;
  readonly pullSecrets: readonly string[];
}

/** The settings that decide which images the cache is to hold. */
export interface CacheScope {
  /** The administrator's. */
  readonly rules: Rules;
  readonly policies: readonly CachePolicy[];
  /** Host and port that rewritten images name. */
  readonly proxyHost: string;
}

/**
 * Undefined for pods that need nothing from the cache: finished ones, mirrors of static pods, and those that
 * opted out.
 */
export function viewPod({ metadata = {}, spec, status }: Pod): PodView | undefined {
  const { namespace = '', labels = {}, annotations = {} } = metadata;
  const rewritten = labels[REWRITTEN_LABEL] === 'true';
  const optedOut = !rewritten && labels[CACHE_LABEL] === CACHE_DISABLED;
  const phase = status?.phase ?? 'Pending';
  if (optedOut || FINISHED.includes(phase) || annotations[MIRROR_POD_ANNOTATION] !== undefined)
    return undefined;
  return {
    namespace,
    images: imagesOf(spec),
    pullSecrets: (spec?.imagePullSecrets ?? []).flatMap(({ name }) => name ?? []),
    rewritten,
    waiting: phase === 'Pending',
    digests: digestsOf(status),
  };
}

/** @param optedIn whether the pod's namespace asks for the cache */
export function wantedImages(pod: PodView, optedIn: boolean, scope: CacheScope): readonly WantedImage[] {
  const wants = pod.rewritten || (optedIn && namespaceAllowed(scope.rules, pod.namespace));
  return wants ? pod.images.flatMap((image) => wantedImage(image, pod, scope) ?? []) : [];
}

function wantedImage(image: string, pod: PodView, scope: CacheScope): WantedImage | undefined {
  const { rules, proxyHost } = scope;
  try {
    const named = parseReference(image);
    const restored = restoreImage(named, proxyHost);
    const original = cacheReference(originalOf(restored?.reference ?? named, proxyHost));
    if (isLoopback(original.host)) return undefined;
    // An image that was rewritten before a rule excluded it is needed all the same.
    if (restored === undefined && !isAllowed(original, pod.namespace, scope)) return undefined;
    // The pod will ask for the path that admission wrote. A path with the name of another tenant was not
    // written by admission.
    const trusted = restored !== undefined && [undefined, pod.namespace].includes(restored.tenant);
    const tenant = trusted
      ? restored.tenant
      : tenantOf({ ...pod, publicRepositories: rules.publicRepositories, image: original });
    return tenant === undefined
      ? { reference: original, pullSecrets: [] }
      : { reference: original, tenant, pullSecrets: pod.pullSecrets };
  } catch (error) {
    // Admission has warned the author already, and the runtime will refuse the image.
    if (error instanceof InvalidReference) return undefined;
    throw error;
  }
}

function isAllowed(image: Reference, namespace: string, { rules, policies }: CacheScope): boolean {
  return imageAllowed(rules, image) && isToBeCached(policies, { ...image, namespaces: [namespace] });
}

function imagesOf(spec: Pod['spec']): readonly string[] {
  const containers = [
    ...(spec?.initContainers ?? []),
    ...(spec?.containers ?? []),
    ...(spec?.ephemeralContainers ?? []),
  ];
  const volumes = (spec?.volumes ?? []).flatMap(({ image }) =>
    image?.reference ? [{ image: image.reference, imagePullPolicy: image.pullPolicy }] : [],
  );
  const pulled = [...containers, ...volumes].filter(({ imagePullPolicy }) => imagePullPolicy !== 'Never');
  return [...new Set(pulled.flatMap(({ image }) => image ?? []))];
}

function digestsOf(status: Pod['status']): readonly string[] {
  const containers = [
    ...(status?.initContainerStatuses ?? []),
    ...(status?.containerStatuses ?? []),
    ...(status?.ephemeralContainerStatuses ?? []),
  ];
  return [
    ...new Set(containers.flatMap(({ imageID }) => /@(sha(?:256|512):[0-9a-f]+)$/.exec(imageID)?.[1] ?? [])),
  ];
}
