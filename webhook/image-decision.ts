/** The decision about one image of a Pod. */
import { type CachePolicy, isToBeCached } from '../api/cache-policy.ts';
import { imageAllowed, type Rules } from '../api/rules.ts';
import { tenantOf } from '../api/tenancy.ts';
import { type CapabilityOf, originalOf, restoreImage, rewriteImage } from '../registry/core/cached-name.ts';
import { RegistryError } from '../registry/core/errors.ts';
import { isLoopback } from '../registry/core/host.ts';
import { formatReference, parseReference, type Reference } from '../registry/core/reference.ts';

export const SKIP_REASONS = [
  'PullPolicyNever',
  'LocalImage',
  'NameTooLong',
  // No name for a private image can be made at the moment.
  'PrivateImage',
  'Unparsable',
  'Unchanged',
  'ImageExcluded',
  'ExcludedByPolicy',
  'MirrorPod',
  'NamespaceExcluded',
  'OptedOut',
  'NoProxyOnNode',
  'GateClosed',
] as const;
/** Why an image is not sent through the cache. */
export type SkipReason = (typeof SKIP_REASONS)[number];

export type ImageDecision =
  /**
   * Through the cache. `original` is the image that the Pod asked for, in its own spelling where that is
   * known.
   */
  | { readonly kind: 'cache'; readonly image: string; readonly original: string }
  /** Not through the cache. A forged or stale cached name becomes its original again. */
  | { readonly kind: 'skip'; readonly image: string; readonly reason: SkipReason; readonly message: string };

/**
 * What makes the names of private images, or why there is no such name at the moment: while an old proxy runs
 * (cluster-view.ts), or for a caller that is not the API server (admission-response.ts).
 */
export type Capabilities = { readonly of: CapabilityOf } | { readonly missing: string };

const NO_KEY = "no key for private images' names may be used yet";

export interface ImageContext {
  readonly namespace: string;
  /** Names of the pull secrets that the Pod has at admission. */
  readonly pullSecrets: readonly string[];
  /** Host and port at which a node reaches its proxy. */
  readonly proxyAddress: string;
  readonly capabilities: Capabilities;
  readonly rules: Rules;
  readonly policies: readonly CachePolicy[];
  /**
   * The original according to the Pod's annotation. Anybody may have written it, so only its spelling is
   * used.
   */
  readonly claimedOriginal: string | undefined;
}

/** Pure and idempotent: deciding about the result again gives the same result. */
export function decideImage(image: string, context: ImageContext): ImageDecision {
  let given: Reference;
  let original: Reference;
  try {
    given = parseReference(image);
    original = originalOf(given, context.proxyAddress);
  } catch (error) {
    if (!(error instanceof RegistryError)) throw error;
    return { kind: 'skip', image, reason: 'Unparsable', message: error.message };
  }
  const spelling = original === given ? image : spellingOf(original, context.claimedOriginal);
  if (isLoopback(original.host)) {
    return {
      kind: 'skip',
      image: spelling,
      reason: 'LocalImage',
      message: 'its registry is on the node itself',
    };
  }
  if (!imageAllowed(context.rules, original)) {
    return {
      kind: 'skip',
      image: spelling,
      reason: 'ImageExcluded',
      message: 'the administrator excluded it',
    };
  }
  if (!isToBeCached(context.policies, { ...original, namespaces: [context.namespace] })) {
    const message = 'the CachePolicy that applies to it says so';
    return { kind: 'skip', image: spelling, reason: 'ExcludedByPolicy', message };
  }
  const { publicRepositories } = context.rules;
  const tenant = tenantOf({ ...context, publicRepositories, image: original });
  const { proxyAddress: proxyHost, capabilities } = context;
  // An update must not take from a running Pod what says that it uses the cache.
  const carried = restoreImage(given, proxyHost)?.capability;
  const capabilityOf: CapabilityOf = (name) =>
    ('of' in capabilities ? capabilities.of(name) : undefined) ?? carried;
  if (tenant !== undefined && capabilityOf({ ...original, tenant }) === undefined) {
    const message = 'missing' in capabilities ? capabilities.missing : NO_KEY;
    return { kind: 'skip', image: spelling, reason: 'PrivateImage', message };
  }
  const rewritten = rewriteImage(original, tenant, { proxyHost, capabilityOf });
  if (rewritten === undefined) {
    return {
      kind: 'skip',
      image: spelling,
      reason: 'NameTooLong',
      message: 'its name in the cache would be too long',
    };
  }
  return { kind: 'cache', image: rewritten, original: spelling };
}

/** The claimed text if it means this very reference, else the normalised form. */
function spellingOf(reference: Reference, claimed: string | undefined): string {
  const normalised = formatReference(reference);
  if (claimed === undefined) return normalised;
  try {
    return formatReference(parseReference(claimed)) === normalised ? claimed : normalised;
  } catch (error) {
    if (error instanceof RegistryError) return normalised;
    throw error;
  }
}
