/** When the store's garbage is worth a collection, during which nothing can be stored: pure. */

/** Bytes, and milliseconds since the epoch. */
export interface Garbage {
  /** What was removed since the last collection took, shared blobs counted as if they were not. */
  readonly bytes: number;
  /** Since when there is some. */
  readonly since: number;
}

export interface Volume {
  readonly usedBytes: number;
  readonly freeBytes: number;
  readonly sizeBytes: number;
}

export interface CollectionRules {
  /** Worth a collection by itself, in bytes. */
  readonly worthBytes: number;
  /** No garbage waits longer, in milliseconds. */
  readonly afterMs: number;
  /** What the images may take, in bytes. */
  readonly limitBytes?: number;
}

/** Short of space, or beyond the limit, any gain counts. */
const SCARCE_SHARE = 0.15;
/** A large store is not collected for a small part of it. */
const WORTH_SHARE = 0.1;
/** Removals come in groups: a collection waits for the end of one. */
const QUIET_MS = 60_000;

export function isCollectionDue(
  { bytes, since }: Garbage,
  volume: Volume | null,
  { worthBytes, afterMs, limitBytes = Infinity }: CollectionRules,
  now: number,
): boolean {
  if (bytes === 0 || now - since < Math.min(QUIET_MS, afterMs)) return false;
  if (now - since >= afterMs) return true;
  if (volume === null) return bytes >= worthBytes;
  if (volume.freeBytes < volume.sizeBytes * SCARCE_SHARE || volume.usedBytes > limitBytes) return true;
  return bytes >= Math.max(worthBytes, volume.usedBytes * WORTH_SHARE);
}
