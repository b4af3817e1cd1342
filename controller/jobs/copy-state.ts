/** What is known of the copying of one image: the queue's view of it, and what a decision is made from. */
import type { ReadyReason } from '../../api/reasons.ts';
import type { Reference } from '../../registry/core/reference.ts';

/** What is asked of the copier. */
export interface CopyRequest {
  readonly reference: Reference;
  readonly tenant?: string;
  readonly platforms: readonly string[];
  readonly pullSecrets: readonly string[];
  /** Signatures and attestations that refer to it; absent: as the copier does by itself. */
  readonly referrers?: boolean;
}

export interface CopyProgress {
  readonly completedBytes: number;
  readonly totalBytes: number;
}

export interface CopyResult {
  readonly digest: string;
  readonly sizeBytes: number;
  readonly platforms: readonly string[];
  /** How many artifacts that refer to the image were copied with it. */
  readonly referrers?: number | undefined;
  /** Why they were not; the image itself is there. */
  readonly referrersFailure?: string | undefined;
}

export interface CopyFailure {
  readonly reason: ReadyReason;
  /** One sentence for users. */
  readonly message: string;
  /** How many tries in a row have failed. */
  readonly failures: number;
  /** Milliseconds since the epoch, as all times here. */
  readonly at: number;
  readonly retryAt: number;
}

export type CopyState =
  | { readonly phase: 'idle' }
  /** Waiting for its turn; `failure` is how the try before ended. */
  | { readonly phase: 'queued'; readonly request: CopyRequest; readonly failure?: CopyFailure }
  | {
      readonly phase: 'running';
      readonly request: CopyRequest;
      readonly progress?: CopyProgress;
      readonly failure?: CopyFailure;
    }
  | { readonly phase: 'failed'; readonly request: CopyRequest; readonly failure: CopyFailure }
  | {
      readonly phase: 'done';
      readonly request: CopyRequest;
      readonly result: CopyResult;
      readonly at: number;
    };

/** Whether two requests would do the same, so that the one need not be made after the other. */
export function sameRequest(a: CopyRequest, b: CopyRequest): boolean {
  return (
    a.platforms.join() === b.platforms.join() &&
    a.pullSecrets.join() === b.pullSecrets.join() &&
    a.referrers === b.referrers
  );
}
