/** Headers of the copier's pull API beyond those of the OCI distribution specification. */

/** The `Reason` of an error that comes from upstream. Errors of the copier's own do not have this header. */
export const UPSTREAM_REASON_HEADER = 'larder-upstream-reason';
