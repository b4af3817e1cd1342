/** Where an image stands with its content, and what follows for its copying: pure. */
import type { CachedImage, CachedImageStatus } from '../../api/cached-image.ts';
import { MADE_FOR_LABEL, MADE_FOR_PODS } from '../../api/names.ts';
import { type CopyRequest, type CopyState, sameRequest } from '../jobs/copy-state.ts';
import { type Decision, type Gathered, PRIORITY } from './decision.ts';
import type { Situation } from './status.ts';

/** Where the image stands, and what follows for its copying. */
export function assess(
  gathered: Gathered,
  image: CachedImage,
  status: CachedImageStatus,
  request: CopyRequest,
): [Situation, Consequence] {
  const { copy } = gathered;
  if (copy.phase === 'done') return [{ is: 'copied', ...copy }, { copy: { do: 'settle' } }];
  const holds = isComplete(status, request);
  const idle = reasonToRest(gathered, image);
  if (idle !== undefined) return [holds ? { is: 'complete' } : idle, stopCopying(copy)];
  switch (copy.phase) {
    case 'queued':
    case 'running':
      return [holds ? { is: 'complete' } : { is: 'copying', copy }, {}];
    case 'failed':
      if (holds && !isBehind(status, request)) return [{ is: 'complete' }, stopCopying(copy)];
      return afterFailure(gathered, copy, request, holds);
    case 'idle':
      if (holds && !isBehind(status, request)) return [{ is: 'complete' }, {}];
      if (request.platforms.length === 0) return [{ is: 'noPlatforms' }, {}];
      return beginning(gathered, status, request, holds);
  }
}

function afterFailure(
  gathered: Gathered,
  { failure, request: tried }: Extract<CopyState, { phase: 'failed' }>,
  request: CopyRequest,
  holds: boolean,
): [Situation, Consequence] {
  const situation: Situation = { is: holds ? 'stale' : 'failed', failure };
  const waitMs = failure.retryAt - gathered.now;
  const isOver = waitMs <= 0 || !sameRequest(tried, request);
  return [situation, isOver ? start(gathered, request) : { againInMs: waitMs }];
}

/** Of an image that is new to us the store may hold everything already: from a pull, or from before. */
function beginning(
  gathered: Gathered,
  status: CachedImageStatus,
  request: CopyRequest,
  holds: boolean,
): [Situation, Consequence] {
  const { verify } = gathered;
  const isNew = status.digest === undefined && verify.phase === 'idle' && verify.lastAt === undefined;
  if (isNew) return [{ is: 'pending' }, { errands: [{ errand: 'verify', request }] }];
  if (status.digest === undefined && verify.phase === 'waiting') return [{ is: 'pending' }, {}];
  return [{ is: holds ? 'complete' : 'pending' }, start(gathered, request)];
}

/** Why nothing is to be copied for it; undefined when something may be. */
function reasonToRest(gathered: Gathered, image: CachedImage): Situation | undefined {
  const { cache, policy } = gathered.rules;
  if (!cache) return { is: 'excluded', ...(policy === undefined ? {} : { policy }) };
  return isWanted(gathered, image) ? undefined : { is: 'unused' };
}

/** One that pods brought about is copied for pods; one that somebody made by hand is wanted as long as it exists. */
function isWanted({ usage }: Gathered, image: CachedImage): boolean {
  return usage !== undefined || !isMadeForPods(image);
}

export function isMadeForPods({ metadata }: CachedImage): boolean {
  return metadata.labels?.[MADE_FOR_LABEL] === MADE_FOR_PODS;
}

/** Whether the last complete copy covers what is asked for now. */
function isComplete(status: CachedImageStatus, { platforms }: CopyRequest): boolean {
  if (status.digest === undefined || status.requestedPlatforms === undefined) return false;
  return platforms.every((platform) => status.requestedPlatforms?.includes(platform));
}

/** Whether there is something to copy although the image is complete. */
function isBehind(status: CachedImageStatus, { referrers }: CopyRequest): boolean {
  return isStale(status) || (referrers === true && status.referrers === undefined);
}

/** Whether the tag has moved upstream. */
export function isStale({ digest, upstreamDigest }: CachedImageStatus): boolean {
  return upstreamDigest !== undefined && upstreamDigest !== digest;
}

function start({ usage }: Gathered, request: CopyRequest): Consequence {
  const inUse = usage === undefined ? PRIORITY.preheat : PRIORITY.inUse;
  const priority = usage !== undefined && usage.waitingPods > 0 ? PRIORITY.podsWait : inUse;
  return { copy: { do: 'start', request, priority } };
}

export function stopCopying(copy: CopyState): Consequence {
  return copy.phase === 'idle' ? {} : { copy: { do: 'cancel' } };
}

export type Consequence = Pick<Decision, 'copy' | 'errands' | 'againInMs'>;
