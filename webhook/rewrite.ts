/** The decision about a Pod: which images go through the cache, and which label and annotation say so. */
import { z } from 'zod';
import {
  CACHE_DISABLED,
  CACHE_LABEL,
  EXPLAIN_ANNOTATION,
  MIRROR_POD_ANNOTATION,
  ORIGINAL_IMAGES_ANNOTATION,
  REWRITTEN_LABEL,
} from '../api/names.ts';
import type { CachePolicy } from '../api/cache-policy.ts';
import { namespaceAllowed, type Rules } from '../api/rules.ts';
import type { AdmissionRequest, JsonObject } from './admission-review.ts';
import type { Gate } from './gate.ts';
import { hideCapabilities } from '../platform/redact.ts';
import { type Capabilities, decideImage, type SkipReason } from './image-decision.ts';
import { imageFields, replaceImages, type ImageField } from './pod-images.ts';
import { placeWithoutProxy } from './pod-place.ts';

/** The state of the cluster that a decision is based on. */
export interface ClusterState {
  /** Host and port at which a node reaches its proxy, `localhost:7439`. */
  readonly proxyAddress: string;
  readonly capabilities: Capabilities;
  readonly rules: Rules;
  readonly policies: readonly CachePolicy[];
  readonly gate: Gate;
  /** Whether the node of that name has a working proxy. */
  readonly hasProxy: (node: string) => boolean;
}

export interface SkippedImage {
  readonly key: string;
  readonly image: string;
  readonly reason: SkipReason;
  readonly message: string;
}

export interface Rewriting {
  /** The Pod to admit: the very object that was given when nothing changes. */
  readonly pod: JsonObject;
  /** How many images go through the cache. */
  readonly cached: number;
  readonly skipped: readonly SkippedImage[];
  /** Whether the Pod asks for a warning about each image that is skipped. */
  readonly explain: boolean;
}

const EPHEMERAL_SUBRESOURCE = 'ephemeralcontainers';

const Strings = z.record(z.string(), z.string()).catch({});
const Metadata = z.object({ labels: Strings, annotations: Strings }).catch({ labels: {}, annotations: {} });
const PullSecrets = z
  .object({
    imagePullSecrets: z.array(
      z
        .object({ name: z.string().min(1) })
        .optional()
        .catch(undefined),
    ),
  })
  .catch({ imagePullSecrets: [] });

/**
 * Decides about a new Pod, or about the images that an update changes. The result differs in image fields,
 * our label and our annotation only, and deciding about it again changes nothing.
 */
export function rewritePod(
  pod: JsonObject,
  request: Pick<AdmissionRequest, 'namespace' | 'oldPod' | 'subresource'>,
  clusterState: ClusterState,
): Rewriting {
  const fields = imageFields(pod);
  const metadata = Metadata.parse(pod['metadata']);
  const whole = reasonToSkipPod(pod, request.namespace, metadata, clusterState);
  const explain = metadata.annotations[EXPLAIN_ANNOTATION] === 'true';
  if (whole)
    return {
      pod,
      cached: 0,
      skipped: fields.map((field) => skipped(field, whole.reason, whole.message)),
      explain,
    };

  const claims = claimedOriginals(metadata.annotations);
  const before = imagesByKey(request.oldPod);
  const context = {
    namespace: request.namespace,
    pullSecrets: pullSecretNames(pod),
    proxyAddress: clusterState.proxyAddress,
    capabilities: clusterState.capabilities,
    rules: clusterState.rules,
    policies: clusterState.policies,
  };
  const images = new Map<ImageField, string>();
  const originals: Record<string, string> = {};
  const left: SkippedImage[] = [];
  for (const field of fields) {
    if (field.pullPolicy === 'Never') {
      left.push(skipped(field, 'PullPolicyNever', 'its pull policy is Never'));
      continue;
    }
    const decision = decideImage(field.image, { ...context, claimedOriginal: claims[field.key] });
    // An update that does not touch an image must not restart its container, nor be refused because the image
    // is immutable.
    const formerly = before.get(field.key);
    const unchanged = formerly === field.image;
    const image = isSameName(formerly, decision.image) ? formerly : decision.image;
    if (!unchanged && image !== field.image) images.set(field, image);
    const throughCache = !unchanged || field.image.startsWith(`${clusterState.proxyAddress}/`);
    if (decision.kind === 'skip') left.push(skipped(field, decision.reason, decision.message));
    else if (throughCache) originals[field.key] = decision.original;
    else left.push(skipped(field, 'Unchanged', 'the update does not change it'));
  }
  const changed = images.size > 0 ? replaceImages(pod, images) : pod;
  // The API server ignores metadata in this subresource.
  const marked = request.subresource === EPHEMERAL_SUBRESOURCE ? changed : mark(changed, originals);
  return { pod: marked, cached: Object.keys(originals).length, skipped: left, explain };
}

/** Whether two names differ in their capability alone: a newer key is no reason to restart a container. */
function isSameName(former: string | undefined, image: string): former is string {
  return former !== undefined && hideCapabilities(former) === hideCapabilities(image);
}

/** Why a whole Pod is left as it is, if it is. */
function reasonToSkipPod(
  pod: JsonObject,
  namespace: string,
  { labels, annotations }: z.output<typeof Metadata>,
  { rules, gate, hasProxy }: ClusterState,
): { reason: SkipReason; message: string } | undefined {
  if (!namespaceAllowed(rules, namespace)) {
    return { reason: 'NamespaceExcluded', message: `the administrator excluded the namespace ${namespace}` };
  }
  if (MIRROR_POD_ANNOTATION in annotations)
    return { reason: 'MirrorPod', message: 'it belongs to a static Pod' };
  // The API server also asks about an update when its selectors match the Pod before it.
  if (labels[CACHE_LABEL] === CACHE_DISABLED) {
    return { reason: 'OptedOut', message: `its label ${CACHE_LABEL} says so` };
  }
  if (!gate.open) return { reason: 'GateClosed', message: gate.message };
  const place = placeWithoutProxy(pod, rules, hasProxy);
  return place === undefined ? undefined : { reason: 'NoProxyOnNode', message: place };
}

/** Sets our label and annotation to what this decision did, whatever they said before. */
function mark(pod: JsonObject, originals: Readonly<Record<string, string>>): JsonObject {
  const cached = Object.keys(originals).length > 0;
  const metadata = (pod['metadata'] ?? {}) as JsonObject;
  const labels = withEntry(metadata['labels'], REWRITTEN_LABEL, cached ? 'true' : undefined);
  const annotations = withEntry(
    metadata['annotations'],
    ORIGINAL_IMAGES_ANNOTATION,
    cached ? JSON.stringify(originals) : undefined,
  );
  if (labels === metadata['labels'] && annotations === metadata['annotations']) return pod;
  return {
    ...pod,
    metadata: { ...metadata, ...(labels ? { labels } : {}), ...(annotations ? { annotations } : {}) },
  };
}

/** A map with an entry set or removed; the given map itself when nothing changes. */
function withEntry(map: unknown, name: string, value: string | undefined): unknown {
  const entries = (map ?? {}) as JsonObject;
  if (entries[name] === value) return map;
  const others = Object.entries(entries).filter(([other]) => other !== name);
  return Object.fromEntries(value === undefined ? others : [...others, [name, value]]);
}

/** The content of our annotation, written by an earlier decision or by anybody else. */
function claimedOriginals(annotations: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  try {
    return Strings.parse(JSON.parse(annotations[ORIGINAL_IMAGES_ANNOTATION] ?? '{}'));
  } catch {
    return {};
  }
}

function imagesByKey(pod: JsonObject | undefined): ReadonlyMap<string, string> {
  return new Map(pod ? imageFields(pod).map((field) => [field.key, field.image]) : []);
}

function pullSecretNames(pod: JsonObject): readonly string[] {
  return PullSecrets.parse(pod['spec'])
    .imagePullSecrets.map((secret) => secret?.name)
    .filter((name) => name !== undefined);
}

function skipped(field: ImageField, reason: SkipReason, message: string): SkippedImage {
  return { key: field.key, image: field.image, reason, message };
}
