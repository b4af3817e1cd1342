/**
 * Rotates Larder's own certificate authority: a new CA is trusted everywhere before it signs anything, and
 * the old one is trusted until nothing that it signed is served. Pure, except that it makes keys.
 */
import {
  createCa,
  expiryOf,
  issuedAt,
  issueServerCertificate,
  isTrusted,
  type KeyPairPem,
  mergeBundle,
  renewalReason,
} from '../../platform/x509.ts';

/** Text by key, decoded. */
export type Data = Readonly<Record<string, string>>;

const CA_DAYS = 3650;
const SERVING_DAYS = 365;

/** The contents of the CA's Secret. */
export interface Authority {
  readonly current: KeyPairPem;
  /** The CA before it, until that is retired. */
  readonly previous?: KeyPairPem;
  /** Since when everybody is told to trust `current`, in milliseconds since the epoch. */
  readonly publishedAt?: number;
}

/** The time now, and how long a published bundle takes to arrive everywhere; in milliseconds. */
export interface Moment {
  readonly now: number;
  readonly settleMs: number;
}

export function readAuthority(data: Data): Authority {
  const published = Date.parse(data['published'] ?? '');
  return {
    current: pairOf(data),
    ...(data['previous.crt'] && data['previous.key']
      ? { previous: { cert: data['previous.crt'], key: data['previous.key'] } }
      : {}),
    ...(Number.isNaN(published) ? {} : { publishedAt: published }),
  };
}

/**
 * The CA that is held, while it remains valid for long enough; otherwise a new one, beside the old one, which
 * signs until the new one is trusted.
 */
export async function keepAuthority(held: Data | undefined, { now }: Moment): Promise<Data> {
  const pair = held && pairOf(held);
  const reason = renewalReason(pair, { names: [] }, now);
  if (held && reason === undefined) return held;
  const stillSigns = reason === 'expiring' && pair && (expiryOf(pair.cert) ?? 0) > now;
  return {
    ...dataOf(await createCa('Larder', CA_DAYS, now)),
    ...(stillSigns ? { 'previous.crt': pair.cert, 'previous.key': pair.key } : {}),
  };
}

/** Notes when the CA was first published. */
export function markPublished(held: Data, { now }: Moment): Data {
  return held['published'] === undefined ? { ...held, published: new Date(now).toISOString() } : held;
}

/** The CAs to trust: the current one first, then all that were trusted before. */
export function trustedBundle(held: string, { current, previous }: Authority, { now }: Moment): string {
  return mergeBundle(previous ? mergeBundle(held, previous.cert, now) : held, current.cert, now);
}

/**
 * A serving certificate for `host`: the one that is held, while it is good. Until a new CA has settled, one
 * that an old CA signed is good too.
 */
export async function keepServing(
  held: Data | undefined,
  authority: Authority,
  { host, bundle }: { readonly host: string; readonly bundle: string },
  moment: Moment,
): Promise<Data> {
  const settled = isSettled(authority, moment);
  const signer = settled ? authority.current : (authority.previous ?? authority.current);
  const pair = held && pairOf(held);
  const reason = renewalReason(pair, { names: [host], issuer: signer.cert }, moment.now);
  if (held && reason === undefined) return held;
  if (held && pair && reason === 'wrong-issuer' && !settled && isTrusted(pair.cert, bundle)) return held;
  return dataOf(await issueServerCertificate(signer, [host], SERVING_DAYS, moment.now));
}

/**
 * Whether nothing that an old CA signed is served any more: the current CA signed all certificates, and long
 * enough ago to be in use.
 */
export function mayRetire(authority: Authority, serving: readonly Data[], moment: Moment): boolean {
  const { now, settleMs } = moment;
  return (
    isSettled(authority, moment) &&
    serving
      .map((data) => pairOf(data).cert)
      .every((cert) => isTrusted(cert, authority.current.cert) && (issuedAt(cert) ?? now) + settleMs <= now)
  );
}

/** The CA's Secret without the previous CA. */
export function retirePrevious(held: Data): Data {
  return Object.fromEntries(Object.entries(held).filter(([key]) => !key.startsWith('previous.')));
}

function isSettled({ publishedAt }: Authority, { now, settleMs }: Moment): boolean {
  return publishedAt !== undefined && publishedAt + settleMs <= now;
}

function pairOf(data: Data): KeyPairPem {
  return { cert: data['tls.crt'] ?? '', key: data['tls.key'] ?? '' };
}

function dataOf({ cert, key }: KeyPairPem): Data {
  return { 'tls.crt': cert, 'tls.key': key };
}
