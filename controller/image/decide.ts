/** Decides what to do about one CachedImage from all that was gathered about it: pure. */
import type { CachedImage, CachedImageStatus } from '../../api/cached-image.ts';
import { CACHED_IMAGE_FINALIZER } from '../../api/names.ts';
import { cacheReference } from '../../registry/core/cached-name.ts';
import { RegistryError } from '../../registry/core/errors.ts';
import { formatPlatform, parsePlatform } from '../../registry/core/platform.ts';
import { formatReference, parseReference, type Reference } from '../../registry/core/reference.ts';
import type { ImageUsage } from '../cluster/usage.ts';
import { TASKS } from '../jobs/job-state.ts';
import type { CopyRequest } from '../jobs/orders.ts';
import { assess, stopCopying } from './assess.ts';
import { isMadeForPods } from './copy-rules.ts';
import type { AppliedSpec, Decision, Gathered } from './decision.ts';
import { decideDeletion } from './deletion.ts';
import { type Findings, learn } from './findings.ts';
import { eventsOf } from './events.ts';
import { expiresAt } from './life-rules.ts';
import { nextStatus, type Situation } from './status.ts';
import { timestamp } from '../../platform/kube/time.ts';
import { upkeep } from './upkeep.ts';

/** The CRD allows no more. */
const MAX_PULL_SECRETS = 64;

export function decide(gathered: Gathered): Decision {
  const { image, usage, copy } = gathered;
  if (image === undefined) {
    return { events: [], ...(usage === undefined ? stopCopying(copy) : { apply: specFor(usage) }) };
  }
  const target = readTarget(image);
  const parsed = target instanceof RegistryError ? undefined : target;
  if (image.metadata.deletionTimestamp !== undefined) return decideDeletion(gathered, image, parsed);
  const decision =
    target instanceof RegistryError
      ? conclude(gathered, image, image.status ?? {}, { is: 'invalid', message: target.message }, {})
      : decideLife(gathered, image, target);
  const guarded = image.metadata.finalizers?.includes(CACHED_IMAGE_FINALIZER);
  return guarded === true ? decision : { ...decision, finalizer: 'add' };
}

function decideLife(gathered: Gathered, image: CachedImage, target: Reference): Decision {
  const { usage, now, verify } = gathered;
  const request = requestFor(image, target, gathered);
  const findings = findingsOf(gathered);
  const status = learn(image.status ?? {}, findings);
  const [situation, consequence] = assess({ gathered, image, status, request });
  const { tasks, againAt } = upkeep(gathered, image, status, request);
  const spec = usage && specFor(usage);
  const lacksSecrets = spec?.pullSecrets?.some((name) => image.spec.pullSecrets?.includes(name) !== true);
  const delaysMs = [...againAt.map((at) => at - now), consequence.againInMs ?? Infinity].filter(
    (ms) => ms < Infinity,
  );
  const hasLostContent =
    verify.phase === 'done' && !verify.result.complete && image.status?.requestedPlatforms !== undefined;
  return conclude(gathered, image, status, situation, {
    ...consequence,
    tasks: [...(consequence.tasks ?? []), ...tasks],
    settled: TASKS.filter((task) => findings[task] !== undefined),
    ...(lacksSecrets === true ? { apply: spec } : {}),
    ...(hasLostContent ? { suspect: true } : {}),
    ...(delaysMs.length > 0 ? { againInMs: Math.ceil(Math.min(...delaysMs)) } : {}),
  });
}

function findingsOf({ check, verify, remove, pinnedDigests }: Gathered): Findings {
  return {
    pinnedDigests,
    ...(check.phase === 'done' ? { check } : {}),
    ...(verify.phase === 'done' ? { verify } : {}),
    ...(remove.phase === 'done' ? { remove } : {}),
  };
}

/** Completes a decision: the status that follows from all of it, and whether the image is to go. */
function conclude(
  gathered: Gathered,
  image: CachedImage,
  learned: CachedImageStatus,
  situation: Situation,
  actions: Omit<Decision, 'status' | 'events'>,
): Decision {
  const { usage, now } = gathered;
  const current = nextStatus({ ...image, status: learned }, usage, situation, now);
  const expiry = expiryOf(gathered, image, current);
  const status = {
    ...current,
    policy: gathered.lifeRules.policy,
    expirationTime: expiry === undefined ? undefined : timestamp(expiry),
  };
  const decision = { ...actions, status, events: eventsOf(image.status, status, usage !== undefined) };
  if (expiry === undefined) return decision;
  const againInMs = Math.min(actions.againInMs ?? Infinity, expiry > now ? expiry - now : RETRY_EXPIRY_MS);
  if (gathered.copy.phase !== 'idle') return { ...decision, againInMs };
  if (expiry <= now) return { ...decision, againInMs, expire: 'Expired' };
  if (!gathered.isEvicted) return { ...decision, againInMs };
  return { ...decision, againInMs: Math.min(againInMs, RETRY_EXPIRY_MS), expire: 'Evicted' };
}

/** How soon an expired image that could not be deleted is looked at again. */
const RETRY_EXPIRY_MS = 5_000;

/**
 * When the image expires unless a pod uses it before; undefined when it does not. One that only pods wanted
 * and that was never copied goes sooner than one that the cache holds.
 */
function expiryOf(
  { usage, lifeRules }: Gathered,
  image: CachedImage,
  status: CachedImageStatus,
): number | undefined {
  const isLongLived = status.digest !== undefined || !isMadeForPods(image);
  const rules = isLongLived ? lifeRules : { ...lifeRules, expireAfterMs: lifeRules.dropAfterMs };
  return expiresAt(image, status, usage, rules);
}

function requestFor(
  { spec }: CachedImage,
  reference: Reference,
  { usage, nodePlatforms, lifeRules }: Gathered,
): CopyRequest {
  const extra = (spec.platforms ?? []).map((text) => formatPlatform(parsePlatform(text)));
  return {
    reference,
    ...(spec.tenant === undefined ? {} : { tenant: spec.tenant }),
    platforms: [...new Set([...nodePlatforms, ...lifeRules.platforms, ...extra])].sort(),
    pullSecrets: [...new Set([...(spec.pullSecrets ?? []), ...(usage?.pullSecrets ?? [])])].sort(),
    ...(lifeRules.referrers === undefined ? {} : { referrers: lifeRules.referrers }),
  };
}

function readTarget({ spec }: CachedImage): Reference | RegistryError {
  try {
    spec.platforms?.forEach(parsePlatform);
    return cacheReference(parseReference(spec.image));
  } catch (error) {
    if (error instanceof RegistryError) return error;
    throw error;
  }
}

function specFor({ reference, tenant, pullSecrets }: ImageUsage): AppliedSpec {
  return {
    image: formatReference(reference),
    ...(tenant === undefined ? {} : { tenant, pullSecrets: pullSecrets.slice(0, MAX_PULL_SECRETS) }),
  };
}
