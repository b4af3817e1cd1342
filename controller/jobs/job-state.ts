/** What is known of one job: where it stands, and how it ended. */
import type { ReadyReason } from '../../api/reasons.ts';
import type { CopyRequest, CopyResult } from './orders.ts';

/** The tasks beside the copy of an image, as they are called in a decision and in the metrics. */
export const TASKS = ['check', 'verify', 'remove'] as const;
export type TaskName = (typeof TASKS)[number];

export interface JobProgress {
  readonly completedBytes: number;
  readonly totalBytes: number;
}

export interface JobFailure {
  readonly reason: ReadyReason;
  /** One sentence, fit for users. */
  readonly message: string;
  /** How many attempts in a row have failed. */
  readonly failures: number;
  /** Milliseconds since the epoch, as all times here. */
  readonly at: number;
  readonly retryAt: number;
}

/** `failure`, where it is optional, is how the attempt before this one ended. */
export type JobState<Q, R> =
  /** `lastAt`: when the last one succeeded. */
  | { readonly phase: 'idle'; readonly lastAt?: number }
  | { readonly phase: 'queued'; readonly request: Q; readonly failure?: JobFailure }
  | {
      readonly phase: 'running';
      readonly request: Q;
      readonly progress?: JobProgress;
      readonly failure?: JobFailure;
    }
  | { readonly phase: 'failed'; readonly request: Q; readonly failure: JobFailure }
  | { readonly phase: 'done'; readonly request: Q; readonly result: R; readonly at: number };

export function isUnderWay({ phase }: JobState<unknown, unknown>): boolean {
  return phase === 'queued' || phase === 'running';
}

export type CopyState = JobState<CopyRequest, CopyResult>;
