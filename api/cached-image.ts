/**
 * CachedImage, `cachedimages.larder.dev/v1alpha1`: one image in the cache, why it is there, and its state.
 */
import { z } from 'zod';
import { RegistryError } from '../registry/core/errors.ts';
import { describeIssue } from './fields.ts';
import { API_GROUP, API_VERSION, CACHED_IMAGE_KIND } from './names.ts';

const conditionSchema = z.object({
  type: z.string(),
  status: z.enum(['True', 'False', 'Unknown']),
  observedGeneration: z.int().optional(),
  /** RFC 3339. */
  lastTransitionTime: z.string(),
  reason: z.string(),
  message: z.string().default(''),
});
/** As `Condition` of platform/kube/conditions.ts, which api may not import. */
export type ConditionJson = z.infer<typeof conditionSchema>;

const specSchema = z.object({
  /** The original reference, normalised. Immutable. */
  image: z.string(),
  /** The namespace whose pull secrets may read it. Immutable. Absent: the image is public. */
  tenant: z.string().optional(),
  /** Never expires. */
  retain: z.boolean().optional(),
  /** `os/arch[/variant]`, in addition to those of the cluster's nodes. */
  platforms: z.array(z.string()).optional(),
  /** Names of Secrets in the tenant's namespace. */
  pullSecrets: z.array(z.string()).optional(),
});
export type CachedImageSpec = z.infer<typeof specSchema>;

const statusSchema = z.object({
  observedGeneration: z.int().optional(),
  conditions: z.array(conditionSchema).optional(),
  /** What the cache serves for the reference: the index's digest if it is one. */
  digest: z.string().optional(),
  /** Upstream's digest at the last check. */
  upstreamDigest: z.string().optional(),
  sizeBytes: z.int().optional(),
  /** `sizeBytes` in readable form, for example `70 MiB`. */
  size: z.string().optional(),
  /** The platforms whose content is in the cache. */
  platforms: z.array(z.string()).optional(),
  /** The platforms that the last complete copy was to have. The image itself may lack some of them. */
  requestedPlatforms: z.array(z.string()).optional(),
  /**
   * How many signatures, attestations and the like came with the last complete copy. Absent: none were asked
   * for.
   */
  referrers: z.int().optional(),
  /** Why the referrers could not be copied. */
  referrersFailure: z.string().optional(),
  /** Digests that the tag had before, and when each was replaced. Pods may still run them. */
  previousDigests: z.array(z.object({ digest: z.string(), replacedTime: z.string() })).optional(),
  /** The CachePolicy that applies. */
  policy: z.string().optional(),
  progress: z.object({ completedBytes: z.int(), totalBytes: z.int() }).optional(),
  usedBy: z.object({ pods: z.int(), namespaces: z.array(z.string()).optional() }).optional(),
  /** Times are RFC 3339. */
  lastUsedTime: z.string().optional(),
  expirationTime: z.string().optional(),
  lastCheckedTime: z.string().optional(),
});
export type CachedImageStatus = z.infer<typeof statusSchema>;

const metadataSchema = z.object({
  name: z.string(),
  uid: z.string().optional(),
  resourceVersion: z.string().optional(),
  generation: z.int().optional(),
  creationTimestamp: z.string().optional(),
  deletionTimestamp: z.string().optional(),
  finalizers: z.array(z.string()).optional(),
  labels: z.record(z.string(), z.string()).optional(),
  annotations: z.record(z.string(), z.string()).optional(),
});

const cachedImageSchema = z.object({
  apiVersion: z.literal(`${API_GROUP}/${API_VERSION}`).default(`${API_GROUP}/${API_VERSION}`),
  kind: z.literal(CACHED_IMAGE_KIND).default(CACHED_IMAGE_KIND),
  metadata: metadataSchema,
  spec: specSchema,
  status: statusSchema.optional(),
});

/**
 * As the API server returns it. `spec.image` is not parsed yet: an invalid one is reported in a condition.
 */
export type CachedImage = z.infer<typeof cachedImageSchema>;

/**
 * Items of a list come without apiVersion and kind; they are filled in.
 * @throws RegistryError with reason `Invalid`
 */
export function parseCachedImage(json: unknown): CachedImage {
  const result = cachedImageSchema.safeParse(json);
  if (result.success) return result.data;
  throw new RegistryError(`not a CachedImage: ${describeIssue(result.error)}`, { reason: 'Invalid' });
}

/** How many of the namespaces that use an image its status lists. */
export const MAX_STATUS_NAMESPACES = 16;
