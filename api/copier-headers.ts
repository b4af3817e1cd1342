/** Headers of the copier's pull API beyond those of the OCI distribution specification. */

/** On an error that repeats what upstream means: its `Reason`. The copier's own troubles carry none. */
export const UPSTREAM_REASON_HEADER = 'larder-upstream-reason';

/** On a request that the replica which owns the repository did not answer: whoever gets it serves it. */
export const SERVE_HERE_HEADER = 'larder-serve-here';
