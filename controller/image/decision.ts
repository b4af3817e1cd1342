/** What a decision about a CachedImage depends on, and what it may consist of. */
import type { CachedImage, CachedImageStatus } from '../../api/cached-image.ts';
import type { CheckAnswer } from '../../api/copier-api.ts';
import type { CopyRequest, CopyState } from '../jobs/copy-state.ts';
import type { ErrandState } from '../jobs/tasks.ts';
import type { RemovalAnswer, Verification } from '../jobs/answers.ts';
import type { LifeRules } from './life-rules.ts';
import type { RemovalRequest } from '../jobs/removals.ts';
import type { ObjectEvent } from '../cluster/object-events.ts';
import type { ImageUsage } from '../cluster/usage.ts';

/** Everything that a decision depends on. Times are in milliseconds since the epoch. */
export interface Gathered {
  /** Absent when no CachedImage of that name exists. */
  readonly image?: CachedImage;
  /** Whether another CachedImage, that stays, stands for the same image. */
  readonly hasSibling: boolean;
  /** Those digests, of what the tag named before, for which there is a CachedImage. */
  readonly pinnedDigests: readonly string[];
  /** Absent when no unfinished pod uses it. */
  readonly usage?: ImageUsage;
  /** Of the cluster's nodes, sorted. */
  readonly nodePlatforms: readonly string[];
  readonly copy: CopyState;
  /** Whether a copy into the image's repository of the store is under way. */
  readonly copiesInRepository: boolean;
  readonly check: ErrandState<CheckAnswer>;
  readonly verify: ErrandState<Verification>;
  readonly removal: ErrandState<RemovalAnswer>;
  readonly rules: LifeRules;
  /** The cache holds more than it may, and this image is among those that go unless they are needed. */
  readonly evict: boolean;
  readonly termBegan: number;
  /** When there was last a reason to doubt that the store has what it had. */
  readonly suspectedAt?: number;
  readonly now: number;
}

/** The fields that the controller itself sets in a spec; it owns no others. */
export interface AppliedSpec {
  readonly image: string;
  readonly tenant?: string;
  readonly pullSecrets?: readonly string[];
}

/** Larger is sooner. */
export const PRIORITY = { podsWait: 2, inUse: 1, preheat: 0 } as const;
export type Priority = (typeof PRIORITY)[keyof typeof PRIORITY];

export type CopyAction =
  | { readonly do: 'start'; readonly request: CopyRequest; readonly priority: Priority }
  | { readonly do: 'cancel' }
  /** What the copy has to tell is in the status now. */
  | { readonly do: 'settle' };

export interface Decision {
  /** Make the CachedImage, or bring our fields of its spec up to date. */
  readonly apply?: AppliedSpec;
  readonly finalizer?: 'add' | 'remove';
  /** What its status should be; compare before writing. */
  readonly status?: CachedImageStatus;
  readonly copy?: CopyAction;
  readonly errands?: readonly Errand[];
  /** Errands whose answers are in the status now. */
  readonly settled?: readonly Errand['errand'][];
  /** Delete the CachedImage, if the API server knows of no pod that uses it either: its time is over, or the cache is too full. */
  readonly expire?: 'Expired' | 'Evicted';
  /** Content was missing that was there before: the store may have lost more than this. */
  readonly suspect?: true;
  readonly events: readonly ObjectEvent[];
  /** When to decide again even if nothing changes, in milliseconds from now. */
  readonly againInMs?: number;
}

export type Errand =
  | { readonly errand: 'check' | 'verify'; readonly request: CopyRequest }
  | { readonly errand: 'remove'; readonly request: RemovalRequest };
