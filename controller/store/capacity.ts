/** Which images go when the cache holds more than it may: of those that may go, the longest unused. Pure. */

/** An image that the cache holds. */
export interface Holding {
  readonly name: string;
  readonly sizeBytes: number;
  /** Milliseconds since the epoch. */
  readonly lastUsedAt: number;
  /** Whether it is neither used by pods, nor retained, nor lost upstream. */
  readonly mayGo: boolean;
}

/** What the store's volume holds, in bytes. */
export interface VolumeUse {
  readonly usedBytes: number;
  /** The part of it that removed images take until the next collection. */
  readonly garbageBytes: number;
}

export interface Capacity {
  /** In the order in which they go. */
  readonly evict: readonly string[];
  readonly heldBytes: number;
  /** By how much the rest, which may not go, exceeds the limit; 0 when it fits. */
  readonly excessBytes: number;
}

/**
 * Layers that images share are counted for each image, but the sum never exceeds what the volume holds.
 * @param limitBytes undefined: there is no limit
 */
export function capacity(
  holdings: readonly Holding[],
  volume: VolumeUse | undefined,
  limitBytes: number | undefined,
): Capacity {
  const sum = holdings.reduce((bytes, { sizeBytes }) => bytes + sizeBytes, 0);
  const onVolume = volume === undefined ? Infinity : Math.max(0, volume.usedBytes - volume.garbageBytes);
  const heldBytes = Math.min(sum, onVolume);
  let excessBytes = Math.max(0, heldBytes - (limitBytes ?? Infinity));
  const evict: string[] = [];
  const candidates = holdings.filter(({ mayGo }) => mayGo);
  for (const { name, sizeBytes } of candidates.sort((a, b) => a.lastUsedAt - b.lastUsedAt)) {
    if (excessBytes === 0) break;
    evict.push(name);
    excessBytes = Math.max(0, excessBytes - sizeBytes);
  }
  return { evict, heldBytes, excessBytes };
}
