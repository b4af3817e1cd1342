/** The keys that capabilities are made and checked with: one Secret, mounted by webhook and proxies. */
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

/** The keys in the mounted file: none while there is no such file, or no line of it is a key. */
export function readCapabilityKeys([content]: readonly (Buffer | undefined)[]): readonly CapabilityKey[] {
  return parseCapabilityKeys(content?.toString('utf8') ?? '');
}
