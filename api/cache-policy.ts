/**
 * CachePolicy, `cachepolicies.larder.dev/v1alpha1`: an administrator's wishes for the images that it matches.
 */
import { z } from 'zod';
import { globMatches } from '../registry/core/glob.ts';
import { RegistryError } from '../registry/core/errors.ts';
import { describeIssue, durationField, objectNameField, platformField } from './fields.ts';

const matchSchema = z.object({
  /** Globs over `host/repository`; `*` matches any characters, `/` included. Absent: every image. */
  images: z.array(z.string().min(1)).optional(),
  /** Globs over the namespaces that use the image. Absent: every namespace. */
  namespaces: z.array(z.string().min(1)).optional(),
});

const specSchema = z.object({
  match: matchSchema.default({}),
  /** False: the images are neither rewritten nor copied nor stored. */
  cache: z.boolean().optional(),
  /** `CacheFirst`: serve what is cached under a tag without asking upstream. */
  tagPolicy: z.enum(['Revalidate', 'CacheFirst']).optional(),
  /** How long a tag counts as fresh after upstream was asked. Milliseconds. */
  freshFor: durationField.optional(),
  /** How often a cached tag is compared with upstream's. Milliseconds. */
  refreshEvery: durationField.optional(),
  /** Copied in addition to those of the cluster's nodes. */
  platforms: z.array(platformField).optional(),
  /** How long an unused image is kept. Milliseconds. */
  expireAfter: durationField.optional(),
  /** Never expires. */
  retain: z.boolean().optional(),
  /** Whether signatures and attestations that refer to an image are copied with it. */
  referrers: z.boolean().optional(),
  /**
   * The Secret in the release's namespace with which public names of the matched repositories are fetched.
   */
  credentials: z.object({ secretName: objectNameField }).optional(),
});

const cachePolicySchema = z.object({
  metadata: z.object({ name: z.string() }).loose(),
  spec: specSchema,
});

/** Durations are in milliseconds. */
export type CachePolicySpec = z.infer<typeof specSchema>;
export interface CachePolicy {
  readonly name: string;
  readonly spec: CachePolicySpec;
}

/** @throws RegistryError with reason `Invalid`; its message says which field is wrong */
export function parseCachePolicy(json: unknown): CachePolicy {
  const result = cachePolicySchema.safeParse(json);
  if (result.success) return { name: result.data.metadata.name, spec: result.data.spec };
  throw new RegistryError(`not a CachePolicy: ${describeIssue(result.error)}`, { reason: 'Invalid' });
}

/** What policies are matched against. */
export interface PolicySubject {
  readonly host: string;
  readonly repository: string;
  /** The tenant, or else every namespace that uses the image. */
  readonly namespaces: readonly string[];
}

/**
 * The policy that applies to an image: of those that match, the one with the most specific image glob, then
 * the one with the most specific namespace glob, then the first by name. Policies do not add up: at most one
 * applies.
 */
export function policyFor(policies: readonly CachePolicy[], subject: PolicySubject): CachePolicy | undefined {
  let best: { policy: CachePolicy; rank: Rank } | undefined;
  for (const policy of policies) {
    const rank = rankOf(policy, subject);
    if (rank !== undefined && (best === undefined || isAhead(rank, best.rank))) best = { policy, rank };
  }
  return best?.policy;
}

/** Whether to cache images of that name: yes, unless the policy that applies says otherwise. */
export function isToBeCached(policies: readonly CachePolicy[], subject: PolicySubject): boolean {
  return policies.length === 0 || policyFor(policies, subject)?.spec.cache !== false;
}

interface Rank {
  /** How many characters of the glob are literal. */
  readonly image: number;
  readonly namespace: number;
  readonly name: string;
}

function rankOf({ name, spec: { match } }: CachePolicy, subject: PolicySubject): Rank | undefined {
  const image = specificity(match.images, [`${subject.host}/${subject.repository}`]);
  const namespace = specificity(match.namespaces, subject.namespaces);
  return image === undefined || namespace === undefined ? undefined : { image, namespace, name };
}

/** Of the most specific glob that matches any of the texts; -1 without globs, which matches everything. */
function specificity(globs: readonly string[] | undefined, texts: readonly string[]): number | undefined {
  if (globs === undefined) return -1;
  const matching = globs.filter((glob) => texts.some((text) => globMatches(glob, text)));
  if (matching.length === 0) return undefined;
  return Math.max(...matching.map((glob) => glob.replace(/[*?]/g, '').length));
}

function isAhead(a: Rank, b: Rank): boolean {
  if (a.image !== b.image) return a.image > b.image;
  if (a.namespace !== b.namespace) return a.namespace > b.namespace;
  return a.name < b.name;
}
