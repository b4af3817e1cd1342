/** Leads: does what only one replica may do, from taking the lease to losing it. */
import { runGroup } from '../platform/run.ts';
import { composeLeader } from './compose-leader.ts';
import type { LeaderOptions } from './leader-options.ts';

/** Resolves once the signal is aborted and everything has stopped; rejects when a part fails. */
export async function lead(options: LeaderOptions, signal: AbortSignal): Promise<void> {
  const { metrics, log } = options;
  const { components, sources } = await composeLeader(options);
  metrics.follow(sources);
  try {
    await runGroup(components, { signal, log });
  } finally {
    metrics.follow(undefined);
  }
}
