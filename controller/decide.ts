/** What to do about one CachedImage: a pure decision over everything that was gathered about it. */
import type { CachedImage, CachedImageStatus } from '../api/cached-image.ts';
import { MADE_FOR_LABEL, MADE_FOR_PODS } from '../api/names.ts';
import { parsePlatform, formatPlatform } from '../registry/core/platform.ts';
import { RegistryError } from '../registry/core/errors.ts';
import { cacheReference } from '../registry/core/cached-name.ts';
import { formatReference, parseReference } from '../registry/core/reference.ts';
import type { Reference } from '../registry/core/reference.ts';
import { sameRequest } from './copy-state.ts';
import type { CopyRequest, CopyState } from './copy-state.ts';
import { nextStatus } from './status.ts';
import type { Situation } from './status.ts';
import type { ImageUsage } from './usage.ts';

/** Everything that a decision depends on. */
export interface Gathered {
  /** Absent when no CachedImage of that name exists. */
  readonly image?: CachedImage;
  /** Absent when no unfinished pod uses it. */
  readonly usage?: ImageUsage;
  /** Of the cluster's nodes, sorted. */
  readonly nodePlatforms: readonly string[];
  readonly copy: CopyState;
  /** Milliseconds since the epoch. */
  readonly now: number;
}

/** The fields that the controller itself sets in a spec; it owns no others. */
export interface AppliedSpec {
  readonly image: string;
  readonly tenant?: string;
  readonly pullSecrets?: readonly string[];
}

/** The definition of the resource allows no more. */
const MAX_PULL_SECRETS = 64;

/** Larger is sooner. */
export const PRIORITY = { podsWait: 2, inUse: 1, preheat: 0 } as const;
export type Priority = (typeof PRIORITY)[keyof typeof PRIORITY];

export type CopyAction =
  | { readonly do: 'start'; readonly request: CopyRequest; readonly priority: Priority }
  | { readonly do: 'cancel' }
  /** What the copy has to tell is in the status now. */
  | { readonly do: 'settle' };

export interface ImageEvent {
  readonly type: 'Normal' | 'Warning';
  readonly reason: string;
  readonly message: string;
}

export interface Decision {
  /** Make the CachedImage, or bring our fields of its spec up to date. */
  readonly apply?: AppliedSpec;
  /** What its status should be; compare before writing. */
  readonly status?: CachedImageStatus;
  readonly copy?: CopyAction;
  readonly events: readonly ImageEvent[];
  /** When to decide again even if nothing changes, in milliseconds from now. */
  readonly againInMs?: number;
}

export function decide(gathered: Gathered): Decision {
  const { image, usage, copy } = gathered;
  if (image === undefined) {
    return { events: [], ...(usage === undefined ? stopCopying(copy) : { apply: specFor(usage) }) };
  }
  if (image.metadata.deletionTimestamp !== undefined) return { events: [], ...stopCopying(copy) };
  const target = readTarget(image);
  if (target instanceof RegistryError) {
    return concluded(gathered, image, { is: 'invalid', message: target.message }, stopCopying(copy));
  }
  const request = requestFor(image, target, gathered);
  const [situation, rest] = assess(gathered, image, request);
  const spec = usage && specFor(usage);
  const lacking = spec?.pullSecrets?.some((name) => image.spec.pullSecrets?.includes(name) !== true);
  return concluded(gathered, image, situation, { ...rest, ...(lacking === true ? { apply: spec } : {}) });
}

type Rest = Pick<Decision, 'apply' | 'copy' | 'againInMs'>;

/** Where the image stands, and what follows for its copying. */
function assess(gathered: Gathered, image: CachedImage, request: CopyRequest): [Situation, Rest] {
  const { copy, now } = gathered;
  switch (copy.phase) {
    case 'done':
      return [{ is: 'copied', ...copy }, { copy: { do: 'settle' } }];
    case 'queued':
    case 'running':
      return isWanted(gathered, image)
        ? [{ is: 'copying', copy }, {}]
        : [{ is: 'unused' }, stopCopying(copy)];
    case 'failed':
      if (!isWanted(gathered, image)) return [{ is: 'unused' }, stopCopying(copy)];
      if (now < copy.failure.retryAt && sameRequest(copy.request, request)) {
        return [{ is: 'failed', failure: copy.failure }, { againInMs: copy.failure.retryAt - now }];
      }
      return [{ is: 'failed', failure: copy.failure }, start(gathered, request)];
    case 'idle':
      if (isComplete(image, request)) return [{ is: 'complete' }, {}];
      if (!isWanted(gathered, image)) return [{ is: 'unused' }, {}];
      if (request.platforms.length === 0) return [{ is: 'noPlatforms' }, {}];
      return [{ is: 'pending' }, start(gathered, request)];
  }
}

function concluded(gathered: Gathered, image: CachedImage, situation: Situation, rest: Rest): Decision {
  const status = nextStatus(image, gathered.usage, situation, gathered.now);
  return { ...rest, status, events: eventsOf(image.status, status) };
}

/** One that pods brought about is copied for pods; one that somebody made by hand is wanted as long as it exists. */
function isWanted({ usage }: Gathered, image: CachedImage): boolean {
  return usage !== undefined || !isMadeForPods(image);
}

export function isMadeForPods({ metadata }: CachedImage): boolean {
  return metadata.labels?.[MADE_FOR_LABEL] === MADE_FOR_PODS;
}

/** Whether the last complete copy covers what is asked for now. */
function isComplete({ status }: CachedImage, { platforms }: CopyRequest): boolean {
  if (status?.digest === undefined || status.requestedPlatforms === undefined) return false;
  return platforms.every((platform) => status.requestedPlatforms?.includes(platform));
}

function requestFor(
  { spec }: CachedImage,
  reference: Reference,
  { usage, nodePlatforms }: Gathered,
): CopyRequest {
  const extra = (spec.platforms ?? []).map((text) => formatPlatform(parsePlatform(text)));
  return {
    reference,
    ...(spec.tenant === undefined ? {} : { tenant: spec.tenant }),
    platforms: [...new Set([...nodePlatforms, ...extra])].sort(),
    pullSecrets: [...new Set([...(spec.pullSecrets ?? []), ...(usage?.pullSecrets ?? [])])].sort(),
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

function start({ usage }: Gathered, request: CopyRequest): Rest {
  const inUse = usage === undefined ? PRIORITY.preheat : PRIORITY.inUse;
  const priority = usage !== undefined && usage.waitingPods > 0 ? PRIORITY.podsWait : inUse;
  return { copy: { do: 'start', request, priority } };
}

function stopCopying(copy: CopyState): Rest {
  return copy.phase === 'idle' ? {} : { copy: { do: 'cancel' } };
}

/** Only what changed is told. */
function eventsOf(before: CachedImageStatus | undefined, after: CachedImageStatus): readonly ImageEvent[] {
  const [was, is] = [before, after].map((status) => status?.conditions?.find(({ type }) => type === 'Ready'));
  if (is === undefined || (was?.reason === is.reason && was.message === is.message)) return [];
  if (is.status === 'True') return [{ type: 'Normal', reason: is.reason, message: is.message }];
  const quiet = ['Pending', 'Copying', 'Unused', 'Deleting'].includes(is.reason);
  return quiet ? [] : [{ type: 'Warning', reason: is.reason, message: is.message }];
}
