/** Moments as Kubernetes writes them, and in milliseconds since the epoch. */

/** RFC 3339 in whole seconds. */
export function timestamp(ms: number): string {
  return new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z');
}
