/** Headers of the copier's pull API beyond those of the OCI distribution specification. */

/** The `Reason` of an error that comes from upstream. Errors of the copier's own do not have this header. */
export const UPSTREAM_REASON_HEADER = 'larder-upstream-reason';

/**
 * Sent when the replica that owns the repository does not answer: the replica that gets the request then
 * serves it.
 */
export const SERVE_HERE_HEADER = 'larder-serve-here';
