/**
 * What the name of a private image carries: a capability, handed out by admission in the image's own
 * namespace and checked by every node's proxy without asking anybody. Being root on the node's loopback
 * proves nothing, since a runtime follows redirects to it (docs/adr/0014).
 */
import { createHmac, timingSafeEqual } from 'node:crypto';
import { encodeCachedName, type TenantName } from './cached-name.ts';

/** A key that capabilities are made with. */
export interface CapabilityKey {
  /** At least 32 bytes. */
  readonly secret: Buffer;
  /**
   * When it begins to make capabilities, in milliseconds since the epoch. It checks them from the first
   * moment.
   */
  readonly signsFrom: number;
}

/** Bits that are kept of the MAC; 26 digits of base 32. */
const BYTES = 16;
const DIGITS = 26;
const CONTEXT = 'larder capability 1';

/** Clocks in a cluster differ by less. */
const MAX_AHEAD_MS = 86_400_000;

/**
 * HMAC-SHA-256 over the cached name, cut to 128 bits (RFC 2104 section 5), in digits that a repository's name
 * may hold. The same name and key always give the same capability, so admission may decide about its own
 * result again.
 */
export function makeCapability(name: TenantName, { secret }: CapabilityKey): string {
  return mac(encodeCachedName(name), secret);
}

/** Whether one of the keys made this capability for this very name. */
export function isCapabilityFor(
  name: TenantName,
  capability: string | undefined,
  keys: readonly CapabilityKey[],
): boolean {
  if (capability?.length !== DIGITS) return false;
  const given = Buffer.from(capability);
  const encoded = encodeCachedName(name);
  return keys.some(({ secret }) => {
    const wanted = Buffer.from(mac(encoded, secret));
    return given.length === wanted.length && timingSafeEqual(given, wanted);
  });
}

/**
 * The newest key whose time has come; undefined when there is none. Of two with the same time it is the first
 * in the list, where the newest stands.
 */
export function signingKey(keys: readonly CapabilityKey[], now: number): CapabilityKey | undefined {
  const [newest] = keys
    .map((key) => ({ key, from: notFarAhead(key.signsFrom, now) }))
    .filter(({ from }) => from <= now)
    .sort((a, b) => b.from - a.from);
  return newest?.key;
}

/** A moment that only a wrong clock can have written counts as now, so that nobody waits years for a key. */
export function notFarAhead(moment: number, now: number): number {
  return moment > now + MAX_AHEAD_MS ? now : moment;
}

const LINE = /^(\S+) ([A-Za-z0-9+/]{43}=)$/;

/**
 * Keys as the Secret holds them: a line each, `signsFrom` (ISO 8601) and 32 bytes in base 64. Other lines are
 * left out.
 * @param onBadLine called with the number of each line that is left out, from 1. It gets no text, which may be
 * a damaged key.
 */
export function parseCapabilityKeys(
  text: string,
  onBadLine: (line: number) => void = () => undefined,
): readonly CapabilityKey[] {
  return text.split('\n').flatMap((line, index) => {
    if (line.trim() === '') return [];
    const [, moment = '', secret = ''] = LINE.exec(line.trim()) ?? [];
    const signsFrom = Date.parse(moment);
    if (!Number.isNaN(signsFrom)) return [{ signsFrom, secret: Buffer.from(secret, 'base64') }];
    onBadLine(index + 1);
    return [];
  });
}

export function formatCapabilityKeys(keys: readonly CapabilityKey[]): string {
  return keys
    .map(({ signsFrom, secret }) => `${new Date(signsFrom).toISOString()} ${secret.toString('base64')}\n`)
    .join('');
}

function mac(encodedName: string, secret: Buffer): string {
  const whole = createHmac('sha256', secret).update(`${CONTEXT}\n${encodedName}`).digest('hex');
  return BigInt(`0x${whole.slice(0, 2 * BYTES)}`)
    .toString(32)
    .padStart(DIGITS, '0');
}
