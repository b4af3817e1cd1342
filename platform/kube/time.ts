/** Times as Kubernetes writes them. */

/** RFC 3339 in whole seconds, from milliseconds since the epoch. */
export function timestamp(ms: number): string {
  return new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z');
}
