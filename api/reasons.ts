/** The stable words of conditions and Events, which users read in `kubectl get` and alerts match on. */
import { REASONS } from '../registry/core/errors.ts';

export const CONDITION_READY = 'Ready';
export const CONDITION_UPSTREAM_AVAILABLE = 'UpstreamAvailable';

/**
 * `Ready` is `Cached` when true; otherwise what is under way, what is missing, or why the last try failed.
 */
export const READY_REASONS = [
  'Cached',
  'Pending',
  'Copying',
  'Incomplete',
  'Unused',
  'Excluded',
  'Deleting',
  'CopierUnavailable',
  ...REASONS,
] as const;
export type ReadyReason = (typeof READY_REASONS)[number];

/** `UpstreamAvailable` is `Available` when true, `Unknown` before the first check, otherwise why not. */
export const UPSTREAM_REASONS = ['Available', 'Unknown', ...REASONS] as const;
export type UpstreamReason = (typeof UPSTREAM_REASONS)[number];
