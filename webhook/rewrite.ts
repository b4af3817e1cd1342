/** The decision about a Pod: which images go through the cache, and what is written beside them. */
import { z } from 'zod';
import { ORIGINAL_IMAGES_ANNOTATION, REWRITTEN_LABEL } from '../api/names.ts';
import type { AdmissionRequest, JsonObject } from './admission-review.ts';
import { decideImage, type SkipReason } from './image-decision.ts';
import { imageFields, replaceImages, type ImageField } from './pod-images.ts';

/** What the administrator decides. */
export interface RewriteSettings {
  /** Host and port under which nodes know the proxy, `localhost:7439`. */
  readonly proxyAddress: string;
  /** Globs over `host/repository` of images that need no credentials. */
  readonly publicRepositories: readonly string[];
  readonly excludedNamespaces: readonly string[];
}

export interface SkippedImage {
  readonly key: string;
  readonly image: string;
  readonly reason: SkipReason;
  readonly message: string;
}

export interface Rewriting {
  /** The Pod as it shall be; the very object that was given when nothing changes. */
  readonly pod: JsonObject;
  /** How many images go through the cache. */
  readonly cached: number;
  readonly skipped: readonly SkippedImage[];
}

/** On Pods that mirror a static Pod of a node: the API server does not allow them to change. */
const MIRROR_ANNOTATION = 'kubernetes.io/config.mirror';
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
 * Decides about a Pod that is created, or about what an update changes in it. Nothing but image fields, our label and our
 * annotation differs in the result, and deciding about the result again changes nothing.
 */
export function rewritePod(
  pod: JsonObject,
  request: Pick<AdmissionRequest, 'namespace' | 'oldPod' | 'subresource'>,
  settings: RewriteSettings,
): Rewriting {
  const fields = imageFields(pod);
  const metadata = Metadata.parse(pod['metadata']);
  const whole = reasonToSkipPod(request.namespace, metadata.annotations, settings);
  if (whole)
    return { pod, cached: 0, skipped: fields.map((field) => skipped(field, whole.reason, whole.message)) };

  const claims = claimedOriginals(metadata.annotations);
  const before = imagesByKey(request.oldPod);
  const context = {
    namespace: request.namespace,
    pullSecrets: pullSecretNames(pod),
    proxyAddress: settings.proxyAddress,
    publicRepositories: settings.publicRepositories,
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
    // An update that leaves an image alone must not restart its container, nor be refused for one that is immutable.
    const unchanged = before.get(field.key) === field.image;
    if (!unchanged && decision.image !== field.image) images.set(field, decision.image);
    const throughCache = !unchanged || field.image.startsWith(`${settings.proxyAddress}/`);
    if (decision.kind === 'skip') left.push(skipped(field, decision.reason, decision.message));
    else if (throughCache) originals[field.key] = decision.original;
    else left.push(skipped(field, 'Unchanged', 'the update does not change it'));
  }
  const changed = images.size > 0 ? replaceImages(pod, images) : pod;
  // That subresource stores nothing of the metadata.
  const marked = request.subresource === EPHEMERAL_SUBRESOURCE ? changed : mark(changed, originals);
  return { pod: marked, cached: Object.keys(originals).length, skipped: left };
}

function reasonToSkipPod(
  namespace: string,
  annotations: Readonly<Record<string, string>>,
  settings: RewriteSettings,
): { reason: SkipReason; message: string } | undefined {
  if (settings.excludedNamespaces.includes(namespace)) {
    return { reason: 'NamespaceExcluded', message: `the namespace ${namespace} is excluded` };
  }
  if (MIRROR_ANNOTATION in annotations) return { reason: 'MirrorPod', message: 'it belongs to a static Pod' };
  return undefined;
}

/** Our label and annotation say what this decision did, whatever stood there before. */
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

/** A map with an entry set or removed; the very same map when it is so already. */
function withEntry(map: unknown, name: string, value: string | undefined): unknown {
  const entries = (map ?? {}) as JsonObject;
  if (entries[name] === value) return map;
  const others = Object.entries(entries).filter(([other]) => other !== name);
  return Object.fromEntries(value === undefined ? others : [...others, [name, value]]);
}

/** What a former round, or somebody who forges one, wrote into our annotation. */
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
