/** What a decision about a CachedImage depends on, and what it consists of. */
import type { CachedImage, CachedImageStatus } from '../../api/cached-image.ts';
import type { CheckAnswer } from '../../api/copier-api.ts';
import type { ObjectEvent } from '../cluster/object-events.ts';
import type { ImageUsage } from '../cluster/usage.ts';
import type { CopyState, JobState, TaskName } from '../jobs/job-state.ts';
import type { CopyRequest, RemoveRequest, RemoveResult, VerifyResult } from '../jobs/orders.ts';
import type { LifeRules } from './life-rules.ts';

/** All that a decision depends on. Times are in milliseconds since the epoch. */
export interface Gathered {
  /** Absent when no CachedImage of that name exists. */
  readonly image?: CachedImage;
  /** Whether another CachedImage, which is not being deleted, stands for the same image. */
  readonly hasSibling: boolean;
  /** Of the earlier digests of the tag, those that have a CachedImage of their own. */
  readonly pinnedDigests: readonly string[];
  /** Absent when no unfinished pod uses the image. */
  readonly usage?: ImageUsage;
  /** The platforms of the cluster's nodes, sorted. */
  readonly nodePlatforms: readonly string[];
  readonly copy: CopyState;
  /** Whether a copy into the image's repository of the store is under way. */
  readonly isCopyingIntoRepository: boolean;
  /** The job that asks upstream for the image. */
  readonly check: JobState<CopyRequest, CheckAnswer>;
  readonly verify: JobState<CopyRequest, VerifyResult>;
  readonly remove: JobState<RemoveRequest, RemoveResult>;
  readonly lifeRules: LifeRules;
  /** Whether the cache holds more than it may and this image is among those chosen to go. */
  readonly isEvicted: boolean;
  /** When this replica became the leader. */
  readonly leadingSince: number;
  /** When there was last a reason to believe that the store has lost something. */
  readonly suspectedAt?: number;
  readonly now: number;
}

/** The fields of a spec that the controller sets; it owns no others. */
export interface AppliedSpec {
  readonly image: string;
  readonly tenant?: string;
  readonly pullSecrets?: readonly string[];
}

/** Larger goes first. */
export const PRIORITY = { podsWait: 2, inUse: 1, preheat: 0 } as const;
export type Priority = (typeof PRIORITY)[keyof typeof PRIORITY];

export type CopyAction =
  | {
      readonly do: 'start';
      readonly request: CopyRequest;
      readonly priority: Priority;
      /** Why it is copied, for the log. */
      readonly because: string;
    }
  | { readonly do: 'cancel' }
  /**
   * Its result is in the status now. Unlike a task, which is settled, a copy leaves nothing to remember: when
   * it ended is in the status too.
   */
  | { readonly do: 'forget' };

export interface Decision {
  /** Create the CachedImage, or bring our fields of its spec up to date. */
  readonly apply?: AppliedSpec;
  readonly finalizer?: 'add' | 'remove';
  /** What its status should be; compare it before writing. */
  readonly status?: CachedImageStatus;
  readonly copy?: CopyAction;
  readonly tasks?: readonly Task[];
  /** Tasks whose results are in the status now; the jobs remember only when these ended. */
  readonly settled?: readonly TaskName[];
  /** Delete the CachedImage, provided that the API server too knows of no pod that uses it. */
  readonly expire?: 'Expired' | 'Evicted';
  /** Content that was there is missing now: the store may have lost more than this. */
  readonly suspect?: true;
  readonly events: readonly ObjectEvent[];
  /** When to decide again even if nothing changes, in milliseconds from now. */
  readonly againInMs?: number;
}

export type Task =
  | { readonly task: 'check' | 'verify'; readonly request: CopyRequest }
  | { readonly task: 'remove'; readonly request: RemoveRequest };
