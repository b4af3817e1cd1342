/**
 * The table of jobs. A copy is what users wait for; checks, verifications and removals are the tasks beside
 * it. A new kind of job is one more row: who performs it, its limits, its backoff, and how its end is
 * counted.
 */
import type { CheckAnswer } from '../../api/copier-api.ts';
import type { ReadyReason } from '../../api/reasons.ts';
import { repositoryOf } from '../../api/stored-image.ts';
import type { BackoffPolicy } from '../../platform/backoff.ts';
import type { ConfigOf } from '../../platform/config.ts';
import type { Component } from '../../platform/run.ts';
import type { controllerConfig } from '../config.ts';
import type { CopierClient } from './copier-client.ts';
import { type JobKind, JobQueue, type JobQueueOptions } from './job-queue.ts';
import type { TaskName } from './job-state.ts';
import {
  type CopyRequest,
  type CopyResult,
  type RemoveRequest,
  type RemoveResult,
  sameRequest,
  type VerifyResult,
} from './orders.ts';
import type { Removals } from './removals.ts';
import type { RepositoryLocks } from './repository-locks.ts';

/** What is counted of the jobs. */
export interface JobMetrics {
  readonly copied: (sizeBytes: number, seconds: number) => void;
  readonly copyFailed: (reason: string) => void;
  readonly taskEnded: (task: TaskName, result: string) => void;
}

export interface JobParts {
  readonly copier: Pick<CopierClient, 'copy' | 'check' | 'verify'>;
  readonly removals: Pick<Removals, 'perform'>;
  readonly repositories: RepositoryLocks;
  readonly settings: Pick<
    ConfigOf<typeof controllerConfig>,
    'maxCopies' | 'maxCopiesPerUpstream' | 'checkSpacing' | 'retryBase' | 'retryMax'
  >;
  readonly metrics: JobMetrics;
}

export interface JobKinds {
  readonly copy: JobKind<CopyRequest, CopyResult>;
  readonly check: JobKind<CopyRequest, CheckAnswer>;
  readonly verify: JobKind<CopyRequest, VerifyResult>;
  readonly remove: JobKind<RemoveRequest, RemoveResult>;
}

export type JobQueues = {
  readonly [K in keyof JobKinds]: JobKinds[K] extends JobKind<infer Q, infer R> ? JobQueue<Q, R> : never;
};

const PROGRESS_EVERY_MS = 2_000;
const CHECKS_AT_ONCE = 4;
const VERIFICATIONS_AT_ONCE = 4;
const REMOVALS_AT_ONCE = 2;

/** Failures of our own parts: waiting long for these spares no registry, and pods wait for the copy. */
const OWN_TROUBLE: readonly ReadyReason[] = ['CopierUnavailable', 'StoreUnavailable'];
const OWN_TROUBLE_MAX_MS = 15_000;

const DEFAULT_REST_SECONDS = 60;
const MAX_REST_MS = 6 * 3_600_000;

export function jobKinds({ copier, removals, repositories, settings, metrics }: JobParts): JobKinds {
  const backoff: BackoffPolicy = { baseMs: settings.retryBase, maxMs: settings.retryMax };
  return {
    copy: {
      name: 'copy',
      perform: copier.copy,
      limits: { total: settings.maxCopies, perLane: settings.maxCopiesPerUpstream },
      laneOf: upstreamOf,
      lock: {
        take: (request) => repositories.takeForCopy(repositoryOf(request)),
        onFree: repositories.onRemovalEnd,
      },
      backoff: (reason) => copyBackoff(reason, backoff),
      isSame: sameRequest,
      progressEveryMs: PROGRESS_EVERY_MS,
      onDone: ({ sizeBytes }, seconds) => {
        metrics.copied(sizeBytes, seconds);
      },
      onFailed: metrics.copyFailed,
    },
    check: {
      name: 'check',
      perform: copier.check,
      limits: { total: CHECKS_AT_ONCE, spacingMs: settings.checkSpacing },
      laneOf: upstreamOf,
      restAfterMs: restAfter,
      backoff: () => backoff,
      ...counted('check', metrics, (answer: CheckAnswer) =>
        answer.upstream === 'Available' ? answer.upstream : answer.reason,
      ),
    },
    verify: {
      name: 'verify',
      perform: copier.verify,
      limits: { total: VERIFICATIONS_AT_ONCE },
      backoff: () => backoff,
      ...counted('verify', metrics, ({ complete }: VerifyResult) => (complete ? 'Complete' : 'Incomplete')),
    },
    remove: {
      name: 'remove',
      perform: removals.perform,
      limits: { total: REMOVALS_AT_ONCE },
      backoff: () => backoff,
      ...counted('remove', metrics, ({ inUse }: RemoveResult) => (inUse ? 'InUse' : 'Removed')),
    },
  };
}

export function jobQueues(kinds: JobKinds, options: JobQueueOptions): JobQueues {
  return {
    copy: new JobQueue(kinds.copy, options),
    check: new JobQueue(kinds.check, options),
    verify: new JobQueue(kinds.verify, options),
    remove: new JobQueue(kinds.remove, options),
  };
}

/**
 * Jobs start when the first is ordered; this component breaks off what is under way when we no longer lead.
 */
export function stopJobs(jobs: JobQueues, copier: Pick<CopierClient, 'close'>): Component {
  return {
    name: 'jobs',
    start: () =>
      Promise.resolve({
        stop: async () => {
          await Promise.all(Object.values(jobs).map((queue) => queue.stop()));
          await copier.close();
        },
      }),
  };
}

function upstreamOf({ reference }: CopyRequest): string {
  return reference.host;
}

function copyBackoff(reason: ReadyReason, { baseMs, maxMs }: BackoffPolicy): BackoffPolicy {
  return { baseMs, maxMs: OWN_TROUBLE.includes(reason) ? Math.min(OWN_TROUBLE_MAX_MS, maxMs) : maxMs };
}

/** A registry that limits us is not asked about any image for as long as it says. */
function restAfter(answer: CheckAnswer): number {
  if (answer.upstream === 'Available' || answer.reason !== 'RateLimited') return 0;
  return Math.min((answer.retryAfterSeconds ?? DEFAULT_REST_SECONDS) * 1_000, MAX_REST_MS);
}

function counted<R>(
  task: TaskName,
  { taskEnded }: JobMetrics,
  nameOf: (result: R) => string,
): Pick<JobKind<never, R>, 'onDone' | 'onFailed'> {
  return {
    onDone: (result) => {
      taskEnded(task, nameOf(result));
    },
    onFailed: () => {
      taskEnded(task, 'Failed');
    },
  };
}
