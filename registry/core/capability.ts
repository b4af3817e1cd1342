/**
 * What the name of a private image carries: a capability, handed out by admission in the image's own namespace and checked by every
 * node's proxy without asking anybody. Being root on the node's loopback proves nothing, since a runtime follows redirects to it (ADR 14).
 */
import { createHmac, timingSafeEqual } from 'node:crypto';
import { encodeCachedName, type TenantName } from './cached-name.ts';

/** A key that capabilities are made with. */
export interface CapabilityKey {
  /** At least 32 bytes. */
  readonly secret: Buffer;
  /** When it was made, in milliseconds since the epoch. */
  readonly madeAt: number;
}

/** Bits that are kept of the MAC; 26 digits of base 32. */
const BYTES = 16;
const DIGITS = 26;
const CONTEXT = 'larder capability 1';

/**
 * HMAC-SHA-256 over the cached name, cut to 128 bits (RFC 2104 section 5), in digits that a repository's name may hold. The same name
 * and key always give the same capability, so admission may decide about its own result again.
 */
export function makeCapability(name: TenantName, { secret }: CapabilityKey): string {
  return BigInt(`0x${mac(name, secret).toString('hex')}`)
    .toString(32)
    .padStart(DIGITS, '0');
}

/** Whether one of the keys made this capability for this very name. */
export function isCapabilityFor(
  name: TenantName,
  capability: string | undefined,
  keys: readonly CapabilityKey[],
): boolean {
  if (capability === undefined) return false;
  const given = Buffer.from(capability);
  return keys.some((key) => {
    const wanted = Buffer.from(makeCapability(name, key));
    return given.length === wanted.length && timingSafeEqual(given, wanted);
  });
}

/**
 * The key that new capabilities are made with: the newest that has had time to arrive everywhere, or the oldest when none has.
 * @param settleMs how long a key takes at most to arrive at every proxy
 * @throws RangeError without any key
 */
export function signingKey(
  keys: readonly CapabilityKey[],
  { now, settleMs }: { readonly now: number; readonly settleMs: number },
): CapabilityKey {
  const byAge = keys.toSorted((a, b) => a.madeAt - b.madeAt);
  const key = byAge.findLast(({ madeAt }) => madeAt + settleMs <= now) ?? byAge[0];
  if (key === undefined) throw new RangeError('there is no key to make capabilities with');
  return key;
}

const LINE = /^(\S+) ([A-Za-z0-9+/]{43}=)$/;

/**
 * Keys as the Secret holds them: a line each, the moment and 32 bytes in base 64.
 * @throws TypeError when a line is anything else; the line is not repeated
 */
export function parseCapabilityKeys(text: string): readonly CapabilityKey[] {
  return text
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line, index) => {
      const [, moment = '', secret = ''] = LINE.exec(line.trim()) ?? [];
      const madeAt = Date.parse(moment);
      if (Number.isNaN(madeAt)) throw new TypeError(`line ${index + 1} is not a capability key`);
      return { madeAt, secret: Buffer.from(secret, 'base64') };
    });
}

export function formatCapabilityKeys(keys: readonly CapabilityKey[]): string {
  return keys
    .map(({ madeAt, secret }) => `${new Date(madeAt).toISOString()} ${secret.toString('base64')}\n`)
    .join('');
}

function mac(name: TenantName, secret: Buffer): Buffer {
  return createHmac('sha256', secret)
    .update(`${CONTEXT}\n${encodeCachedName(name)}`)
    .digest()
    .subarray(0, BYTES);
}
