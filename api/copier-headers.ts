/** Headers of the copier's pull API beyond those of the OCI distribution specification. */

/** On an error that repeats what upstream means: its `Reason`. The copier's own troubles carry none. */
export const UPSTREAM_REASON_HEADER = 'larder-upstream-reason';
