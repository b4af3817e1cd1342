/** When a collection of the store's garbage is worth it, given that nothing can be stored meanwhile: pure. */

/** Bytes, and milliseconds since the epoch. */
export interface Garbage {
  /** The size of the images removed since the last collection, as if none shared blobs with another. */
  readonly bytes: number;
  /** When the first of them was removed. */
  readonly since: number;
}

export interface VolumeSpace {
  readonly usedBytes: number;
  readonly freeBytes: number;
  readonly sizeBytes: number;
}

export interface CollectionThresholds {
  /** Worth a collection by itself, in bytes. */
  readonly worthBytes: number;
  /** How long garbage waits at most, in milliseconds. */
  readonly afterMs: number;
  /** How much the images may take, in bytes. */
  readonly limitBytes?: number;
}

/** With less free space than this, any gain is worth a collection. */
const SCARCE_SHARE = 0.15;
/** In a large store, garbage must be this share of it to be worth a collection. */
const WORTH_SHARE = 0.1;
/** Removals come in groups: a collection waits this long for more. */
const QUIET_MS = 60_000;

export function isCollectionDue(
  { bytes, since }: Garbage,
  volume: VolumeSpace | null,
  { worthBytes, afterMs, limitBytes = Infinity }: CollectionThresholds,
  now: number,
): boolean {
  if (bytes === 0 || now - since < Math.min(QUIET_MS, afterMs)) return false;
  if (now - since >= afterMs) return true;
  if (volume === null) return bytes >= worthBytes;
  if (volume.freeBytes < volume.sizeBytes * SCARCE_SHARE || volume.usedBytes > limitBytes) return true;
  return bytes >= Math.max(worthBytes, volume.usedBytes * WORTH_SHARE);
}
