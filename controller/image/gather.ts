/**
 * Gathers what the decision about one CachedImage depends on. It reads only memory, so all of it is of one
 * moment.
 */
import type { CachePolicy } from '../../api/cache-policy.ts';
import { cachedImageName } from '../../api/names.ts';
import type { Clock } from '../../platform/clock.ts';
import type { ObjectCache } from '../../platform/kube/cache.ts';
import type { Digest } from '../../registry/core/digest.ts';
import { parseReference, reference } from '../../registry/core/reference.ts';
import type { NodePlatforms } from '../cluster/node-platforms.ts';
import type { ImageRecord, WatchedPolicy } from '../cluster/resources.ts';
import type { ImageUsage, UsageIndex } from '../cluster/usage.ts';
import type { JobQueues } from '../jobs/kinds.ts';
import type { RepositoryLocks } from '../jobs/repository-locks.ts';
import type { Gathered } from './decision.ts';
import { policyOf, rulesUnder, type LifeRules } from './life-rules.ts';
import type { Suspicion } from './suspicion.ts';

export interface GatherSources {
  readonly images: ObjectCache<ImageRecord>;
  readonly standingFor: (name: string) => readonly ImageRecord[];
  readonly usage: UsageIndex;
  readonly platforms: NodePlatforms;
  readonly policies: ObjectCache<WatchedPolicy>;
  readonly jobs: JobQueues;
  readonly repositories: RepositoryLocks;
  readonly suspicion: Suspicion;
  /** For images that no policy matches. */
  readonly defaultLifeRules: LifeRules;
  /** Whether an image is to go because the cache holds more than it may. */
  readonly isEvicted: (name: string) => boolean;
  readonly clock: Clock;
}

/**
 * Call it when this replica begins to lead.
 * @returns a function that gathers for an image by name, also when no CachedImage has that name yet
 */
export function gatherer(sources: GatherSources): (name: string) => Gathered {
  const { images, usage: usageIndex, platforms, jobs, repositories, suspicion, clock } = sources;
  const leadingSince = clock.now();
  return (name) => {
    const record = images.get(name);
    const usage = usageIndex.of(record === undefined ? name : (record.standsFor ?? ''));
    const repository = record?.repository;
    return {
      ...(record === undefined ? {} : { image: record.image }),
      ...relativesOf(record, sources),
      ...(usage === undefined ? {} : { usage }),
      nodePlatforms: platforms.all(),
      copy: jobs.copy.state(name),
      isCopyingIntoRepository: repository !== undefined && repositories.isCopying(repository),
      check: jobs.check.state(name),
      verify: jobs.verify.state(name),
      remove: jobs.remove.state(name),
      lifeRules: rulesUnder(sources.defaultLifeRules, appliedPolicy(record, usage, sources)),
      isEvicted: sources.isEvicted(name),
      leadingSince,
      ...(suspicion.at === undefined ? {} : { suspectedAt: suspicion.at }),
      now: clock.now(),
    };
  };
}

function appliedPolicy(
  record: ImageRecord | undefined,
  usage: ImageUsage | undefined,
  { policies: records }: GatherSources,
): CachePolicy | undefined {
  const image = usage?.reference ?? record?.reference;
  const policies = [...records.values()].flatMap(({ policy }) => policy ?? []);
  if (image === undefined || policies.length === 0) return undefined;
  return policyOf(policies, image, record?.image.spec.tenant ?? usage?.tenant, usage?.namespaces ?? []);
}

/** Which other CachedImages stand for the same image, or for an earlier digest of its tag. */
function relativesOf(
  record: ImageRecord | undefined,
  { standingFor }: GatherSources,
): Pick<Gathered, 'hasSibling' | 'pinnedDigests'> {
  if (record?.standsFor === undefined) return { hasSibling: false, pinnedDigests: [] };
  const { spec, status, metadata } = record.image;
  const hasOther = (name: string): boolean =>
    standingFor(name).some(
      ({ image: other }) => other.metadata.name !== metadata.name && !other.metadata.deletionTimestamp,
    );
  const image = parseReference(spec.image);
  const nameOf = (digest: string): string =>
    cachedImageName(reference(image, undefined, digest as Digest), spec.tenant);
  return {
    hasSibling: hasOther(record.standsFor),
    pinnedDigests: (status?.previousDigests ?? [])
      .map(({ digest }) => digest)
      .filter((digest) => hasOther(nameOf(digest))),
  };
}
