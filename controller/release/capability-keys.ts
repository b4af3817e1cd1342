/** When the keys of capabilities are made, followed by newer ones, and given up: pure but for making keys. */
import { randomBytes } from 'node:crypto';
import { CAPABILITY_KEYS_FILE } from '../../api/capability-keys.ts';
import {
  type CapabilityKey,
  formatCapabilityKeys,
  parseCapabilityKeys,
} from '../../registry/core/capability.ts';
import type { Data } from './authority.ts';

const DAY_MS = 86_400_000;
/** A key makes capabilities for so long, then a newer one does. */
const SIGNS_MS = 365 * DAY_MS;
/** Pods run, and pull again, with the names that they were admitted with: a key goes on being good for so long after it was made. */
const GOOD_MS = 3 * 365 * DAY_MS;
const KEY_BYTES = 32;

/**
 * The keys that are held, without those that are too old, and with a new one when the newest has signed for long enough. What cannot be
 * read counts as absent: then all names that Pods have are void, and the rescue gives new ones to those that pull again.
 */
export function keepCapabilityKeys(held: Data | undefined, now: number): Data {
  const good = keysIn(held).filter(({ madeAt }) => madeAt + GOOD_MS > now);
  const signs = good.some(({ madeAt }) => madeAt + SIGNS_MS > now);
  const keys = signs ? good : [{ secret: randomBytes(KEY_BYTES), madeAt: now }, ...good];
  return { ...held, [CAPABILITY_KEYS_FILE]: formatCapabilityKeys(keys) };
}

export function keysIn(held: Data | undefined): readonly CapabilityKey[] {
  try {
    return parseCapabilityKeys(held?.[CAPABILITY_KEYS_FILE] ?? '');
  } catch (error) {
    if (error instanceof TypeError) return [];
    throw error;
  }
}
