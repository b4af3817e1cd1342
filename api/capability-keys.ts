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

/**
 * How long a new key is held back, in milliseconds. A kubelet brings a changed Secret into a container within its sync period and the
 * life of its cache, two minutes by default (https://kubernetes.io/docs/concepts/configuration/secret/#using-secrets-as-files-from-a-pod).
 */
const SETTLE_MS = 10 * 60_000;

/** Makes capabilities with the key that is due at that moment. */
export function capabilityMaker(
  keys: () => readonly CapabilityKey[],
  clock: { now(): number },
): CapabilityOf {
  return (name) => makeCapability(name, signingKey(keys(), { now: clock.now(), settleMs: SETTLE_MS }));
}

/** The keys in the mounted file; none while there is no such file. @throws TypeError when it holds anything else */
export function readCapabilityKeys([content]: readonly (Buffer | undefined)[]): readonly CapabilityKey[] {
  return parseCapabilityKeys(content?.toString('utf8') ?? '');
}
