/**
 * When is an image copied, and when again? The rules are tried in order, and the first that applies decides.
 * Each is a pure function with the reason that it stands for.
 */
import type { CachedImage, CachedImageStatus } from '../../api/cached-image.ts';
import { MADE_FOR_LABEL, MADE_FOR_PODS } from '../../api/names.ts';
import { isUnderWay } from '../jobs/job-state.ts';
import { type CopyRequest, sameRequest } from '../jobs/orders.ts';
import type { Gathered } from './decision.ts';

/** The image that a rule is about. */
export interface Candidate {
  readonly gathered: Gathered;
  readonly image: CachedImage;
  /** With all that is known by now. */
  readonly status: CachedImageStatus;
  /** The copy that would be ordered now. */
  readonly request: CopyRequest;
}

/**
 * `takeResult`: the result is taken into the status, and the copy forgotten. `stop`: no copy is needed; one
 * that waits or runs is broken off, and one that failed is forgotten. `wait`: nothing is done until something changes. `retryLater`: as `wait`, until the
 * failed copy may be tried again. `verify`: the store is asked what it has. `copy`: a copy is ordered.
 */
export type CopyVerdict = 'takeResult' | 'stop' | 'wait' | 'retryLater' | 'verify' | 'copy';

export interface CopyRule {
  readonly name: string;
  readonly applies: (candidate: Candidate) => boolean;
  readonly then: CopyVerdict;
  /** Completes "because …". */
  readonly because: string;
}

const RULES = [
  {
    name: 'JustCopied',
    applies: ({ gathered: { copy } }) => copy.phase === 'done',
    then: 'takeResult',
    because: 'its copy has succeeded',
  },
  {
    name: 'Excluded',
    applies: ({ gathered: { lifeRules } }) => !lifeRules.cache,
    then: 'stop',
    because: 'a CachePolicy keeps it out of the cache',
  },
  {
    name: 'Unused',
    applies: ({ gathered: { usage }, image }) => usage === undefined && isMadeForPods(image),
    then: 'stop',
    because: 'it exists for pods, and no pod uses it',
  },
  {
    name: 'UnderWay',
    applies: ({ gathered: { copy } }) => isUnderWay(copy),
    then: 'wait',
    because: 'its copy is queued or running',
  },
  {
    name: 'UpToDate',
    applies: (candidate) => LACKS.every((lacks) => !lacks(candidate)),
    then: 'stop',
    because: 'the cache holds all that is asked for',
  },
  {
    name: 'OrderChanged',
    applies: ({ gathered: { copy }, request }) =>
      copy.phase === 'failed' && !sameRequest(copy.request, request),
    then: 'copy',
    because: 'its copy failed, and other platforms, pull secrets or referrers are asked for since',
  },
  {
    name: 'RetryDue',
    applies: ({ gathered: { copy, now } }) => copy.phase === 'failed' && copy.failure.retryAt <= now,
    then: 'copy',
    because: 'its copy failed, and is due to be tried again',
  },
  {
    name: 'RetryLater',
    applies: ({ gathered: { copy } }) => copy.phase === 'failed',
    then: 'retryLater',
    because: 'its copy failed, and is not due to be tried again yet',
  },
  {
    name: 'NoPlatforms',
    applies: ({ request }) => request.platforms.length === 0,
    then: 'wait',
    because: 'no node has reported its platform yet',
  },
  {
    name: 'NewToUs',
    // Not again after a verification that found something missing: its result stays until it was taken in, and
    // from then on `lastAt` tells of it.
    applies: ({ gathered: { verify }, status }) =>
      status.digest === undefined && verify.phase === 'idle' && verify.lastAt === undefined,
    then: 'verify',
    because: 'the store may have all of it already, from a pull or from an earlier install',
  },
  {
    name: 'BeingVerified',
    applies: ({ gathered: { verify }, status }) => status.digest === undefined && isUnderWay(verify),
    then: 'wait',
    because: 'the store is being asked whether it has all of it',
  },
  {
    name: 'NeverCopied',
    applies: isNeverCopied,
    then: 'copy',
    because: 'the cache does not hold it',
  },
  {
    name: 'ContentLost',
    applies: isContentLost,
    then: 'copy',
    because: 'the store has lost a part of it',
  },
  {
    name: 'PlatformAdded',
    applies: isPlatformAdded,
    then: 'copy',
    because: 'it is asked for on a platform for which it was not copied',
  },
  {
    name: 'TagMoved',
    applies: isTagMoved,
    then: 'copy',
    because: 'its tag names another digest upstream',
  },
  {
    name: 'ReferrersWanted',
    applies: areReferrersWanted,
    then: 'copy',
    because: 'signatures and attestations are asked for, and have not been copied',
  },
] as const satisfies readonly CopyRule[];

export type CopyRuleName = (typeof RULES)[number]['name'];
export const COPY_RULES: readonly (CopyRule & { readonly name: CopyRuleName })[] = RULES;

/** What an image may lack: as long as it lacks none of it, it is up to date. */
const LACKS = [isNeverCopied, isContentLost, isPlatformAdded, isTagMoved, areReferrersWanted];

/** The rule that decides. */
export function ruleFor(candidate: Candidate): (typeof COPY_RULES)[number] {
  const rule = COPY_RULES.find(({ applies }) => applies(candidate));
  // What is not up to date lacks something, for which there is a rule.
  if (rule === undefined) throw new Error('no copy rule applies');
  return rule;
}

/** Whether the cache holds the image for all platforms that are asked for; its tag may have moved since. */
export function isComplete(candidate: Candidate): boolean {
  return !isNeverCopied(candidate) && !isContentLost(candidate) && !isPlatformAdded(candidate);
}

/** Whether the tag has moved upstream. */
export function isStale({ digest, upstreamDigest }: CachedImageStatus): boolean {
  return upstreamDigest !== undefined && upstreamDigest !== digest;
}

/**
 * Whether pods brought the CachedImage about. One that somebody made by hand is wanted as long as it exists.
 */
export function isMadeForPods({ metadata }: CachedImage): boolean {
  return metadata.labels?.[MADE_FOR_LABEL] === MADE_FOR_PODS;
}

function isNeverCopied({ status }: Candidate): boolean {
  return status.digest === undefined;
}

/** A verification that misses something takes the platforms out of the status. */
function isContentLost({ status }: Candidate): boolean {
  return status.digest !== undefined && status.requestedPlatforms === undefined;
}

function isPlatformAdded({ status, request }: Candidate): boolean {
  const held = status.requestedPlatforms;
  return held !== undefined && request.platforms.some((platform) => !held.includes(platform));
}

function isTagMoved({ status }: Candidate): boolean {
  return isStale(status);
}

function areReferrersWanted({ status, request }: Candidate): boolean {
  return request.referrers === true && status.referrers === undefined;
}
