/** When the keys of capabilities are made, and when old ones are given up: pure but for making keys. */
import { randomBytes } from 'node:crypto';
import { CAPABILITY_KEYS_FILE } from '../../api/capability-keys.ts';
import {
  type CapabilityKey,
  formatCapabilityKeys,
  notFarAhead,
  parseCapabilityKeys,
} from '../../registry/core/capability.ts';
import type { Authority, Data, Moment } from './authority.ts';

/**
 * How long a new key is held back, in milliseconds. A kubelet brings a changed Secret into a container within
 * its sync period and the life of its cache, two minutes by default
 * (https://kubernetes.io/docs/concepts/configuration/secret/#using-secrets-as-files-from-a-pod).
 */
const SETTLE_MS = 10 * 60_000;
/** How long an old key goes on being good beside a newer one: Pods keep the names that they were admitted with. */
const KEEP_MS = 3 * 365 * 86_400_000;
const KEY_BYTES = 32;

/** An operator who sets this entry of the Secret, to anything, gets a newer key; the older ones stay good. */
const ROTATE_ENTRY = 'rotate';

export interface KeyKeeping {
  readonly now: number;
  /** Whether the release is just being installed, so that no proxy can hold any other key. */
  readonly isNewRelease: boolean;
  /** Called with the number of each line that is no key, and is dropped. */
  readonly onBadLine?: (line: number) => void;
}

/**
 * The keys that are held, the newest first. A new one is added when there is none or the operator asks for it.
 * An old one is dropped three years after a newer one began to sign, and never in the same write as a new one
 * is added. Lines that are no key are dropped.
 */
export function keepCapabilityKeys(
  held: Data | undefined,
  { now, isNewRelease, onBadLine }: KeyKeeping,
): Data {
  const { [ROTATE_ENTRY]: rotate, ...entries } = held ?? {};
  const keys = keysIn(held, onBadLine).map((key) => ({ ...key, signsFrom: notFarAhead(key.signsFrom, now) }));
  if (keys.length > 0 && rotate === undefined)
    return { ...entries, [CAPABILITY_KEYS_FILE]: formatCapabilityKeys(stillNeeded(keys, now)) };
  const signsFrom = keys.length === 0 && isNewRelease ? now : now + SETTLE_MS;
  const added = { secret: randomBytes(KEY_BYTES), signsFrom };
  return { ...entries, [CAPABILITY_KEYS_FILE]: formatCapabilityKeys([added, ...keys]) };
}

/** Whether the release's first CA is younger than the time that it takes to arrive everywhere. */
export function isNewRelease({ previous, publishedAt }: Authority, { now, settleMs }: Moment): boolean {
  return previous === undefined && (publishedAt === undefined || publishedAt + settleMs > now);
}

/** @param onBadLine see `parseCapabilityKeys` */
export function keysIn(held: Data | undefined, onBadLine?: (line: number) => void): readonly CapabilityKey[] {
  return parseCapabilityKeys(held?.[CAPABILITY_KEYS_FILE] ?? '', onBadLine);
}

function stillNeeded(keys: readonly CapabilityKey[], now: number): readonly CapabilityKey[] {
  const successors = keys.filter(({ signsFrom }) => signsFrom + KEEP_MS <= now);
  return keys.filter((key) => !successors.some(({ signsFrom }) => signsFrom > key.signsFrom));
}
