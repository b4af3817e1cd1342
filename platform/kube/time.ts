/** Times as Kubernetes writes them. */

/** RFC 3339 in whole seconds, from milliseconds since the epoch. */
export function timestamp(ms: number): string {
  return new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z');
}

/** Milliseconds since the epoch; undefined for a text that is absent or not a time. */
export function parseTime(text: string | undefined): number | undefined {
  const ms = Date.parse(text ?? '');
  return Number.isNaN(ms) ? undefined : ms;
}
