/** The keys of a release that capabilities are made and checked with: one Secret, mounted by webhook and proxies. */
import type { CapabilityOf } from '../registry/core/cached-name.ts';
import {
  type CapabilityKey,
  makeCapability,
  parseCapabilityKeys,
  signingKey,
} from '../registry/core/capability.ts';

/** The entry of the Secret `<full>-capability-keys`. */
export const CAPABILITY_KEYS_FILE = 'keys';

/** Makes capabilities with the key that is due at that moment; none while no key is. */
export function capabilityMaker(
  keys: () => readonly CapabilityKey[],
  clock: { now(): number },
): CapabilityOf {
  return (name) => {
    const key = signingKey(keys(), clock.now());
    return key && makeCapability(name, key);
  };
}

/**
 * The keys in the mounted file.
 * @throws Error when there is no such file, or no key in it
 */
export function readCapabilityKeys([content]: readonly (Buffer | undefined)[]): readonly CapabilityKey[] {
  const keys = parseCapabilityKeys(content?.toString('utf8') ?? '');
  if (keys.length === 0)
    throw new Error(`there is no key in the mounted Secret's entry '${CAPABILITY_KEYS_FILE}'`);
  return keys;
}
