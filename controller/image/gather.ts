/** Gathers what the decision about one CachedImage depends on: out of memory, so that it is all of one moment. */
import type { CachePolicy } from '../../api/cache-policy.ts';
import { cachedImageName } from '../../api/names.ts';
import type { Clock } from '../../platform/clock.ts';
import type { ObjectCache } from '../../platform/kube/cache.ts';
import type { Digest } from '../../registry/core/digest.ts';
import { parseReference, reference } from '../../registry/core/reference.ts';
import type { Copies } from '../jobs/copies.ts';
import type { Gathered } from './decision.ts';
import type { ErrandRunners } from '../jobs/task-runners.ts';
import { rulesUnder, type LifeRules } from './life-rules.ts';
import type { NodePlatforms } from '../cluster/node-platforms.ts';
import { policyOf } from '../policies/policies.ts';
import type { ImageRecord, PolicyRecord } from '../cluster/resources.ts';
import type { Suspicion } from './suspicion.ts';
import type { ImageUsage, UsageIndex } from '../cluster/usage.ts';

export interface GatherSources {
  readonly images: ObjectCache<ImageRecord>;
  readonly standingFor: (name: string) => readonly ImageRecord[];
  readonly usage: UsageIndex;
  readonly platforms: NodePlatforms;
  readonly policies: ObjectCache<PolicyRecord>;
  readonly copies: Copies;
  readonly errands: ErrandRunners;
  readonly suspicion: Suspicion;
  /** For images that no policy matches. */
  readonly rules: LifeRules;
  /** Whether an image is to go because the cache holds more than it may. */
  readonly isEvicted: (name: string) => boolean;
  readonly clock: Clock;
}

/** For a term that begins now. @returns what there is to know of the image of a name, also when no CachedImage has it yet */
export function gatherer(sources: GatherSources): (name: string) => Gathered {
  const { images, usage, platforms, copies, errands, rules, suspicion, isEvicted, clock } = sources;
  const termBegan = clock.now();
  return (name) => {
    const record = images.get(name);
    const users = usage.of(record === undefined ? name : (record.standsFor ?? ''));
    const repository = record?.repository;
    return {
      ...(record === undefined ? {} : { image: record.image }),
      ...relativesOf(record, sources),
      ...(users === undefined ? {} : { usage: users }),
      nodePlatforms: platforms.all(),
      copy: copies.state(name),
      copiesInRepository: repository !== undefined && copies.isCopyingInto(repository),
      check: errands.check.state(name),
      verify: errands.verify.state(name),
      removal: errands.remove.state(name),
      rules: rulesUnder(rules, appliedPolicy(record, users, sources)),
      evict: isEvicted(name),
      termBegan,
      ...(suspicion.at === undefined ? {} : { suspectedAt: suspicion.at }),
      now: clock.now(),
    };
  };
}

function appliedPolicy(
  record: ImageRecord | undefined,
  users: ImageUsage | undefined,
  { policies: records }: GatherSources,
): CachePolicy | undefined {
  const image = users?.reference ?? record?.reference;
  const policies = [...records.values()].flatMap(({ policy }) => policy ?? []);
  if (image === undefined || policies.length === 0) return undefined;
  return policyOf(policies, image, record?.image.spec.tenant ?? users?.tenant, users?.namespaces ?? []);
}

/** Which other CachedImages look after the same image, or after what its tag named before. */
function relativesOf(
  record: ImageRecord | undefined,
  { standingFor }: GatherSources,
): Pick<Gathered, 'hasSibling' | 'pinnedDigests'> {
  if (record?.standsFor === undefined) return { hasSibling: false, pinnedDigests: [] };
  const { spec, status, metadata } = record.image;
  const staying = (name: string): boolean =>
    standingFor(name).some(
      ({ image: other }) => other.metadata.name !== metadata.name && !other.metadata.deletionTimestamp,
    );
  const image = parseReference(spec.image);
  const nameOf = (digest: string): string =>
    cachedImageName(reference(image, undefined, digest as Digest), spec.tenant);
  return {
    hasSibling: staying(record.standsFor),
    pinnedDigests: (status?.previousDigests ?? [])
      .map(({ digest }) => digest)
      .filter((digest) => staying(nameOf(digest))),
  };
}
