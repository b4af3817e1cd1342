/** What the Secrets and ConfigMaps of a release should hold, given what they hold: made once, kept as long as it is good. */
import type { ReleaseNames } from '../../api/names.ts';
import { createCa, issueServerCertificate, mergeBundle, renewalReason } from '../../platform/x509.ts';
import type { KeyPairPem } from '../../platform/x509.ts';
import { createStoreLogin, isUsable, publicKeys } from './store-login.ts';
import type { StoreLogin } from './store-login.ts';

const CA_DAYS = 3650;
const SERVING_DAYS = 365;

/** Text by key, decoded. */
export type Data = Readonly<Record<string, string>>;

/** Reads or writes the data of one object; what it returns is what the object holds in the end. */
export interface ObjectStore {
  /**
   * Gives the object the data that `next` wants of it, from what it holds (undefined when there is none). `next` may be
   * called again when somebody else wrote in between; the same data again writes nothing.
   */
  ensure(
    kind: 'Secret' | 'ConfigMap',
    name: string,
    next: (held: Data | undefined) => Promise<Data>,
    secretType?: string,
  ): Promise<Data>;
}

export interface ReleaseOptions {
  readonly names: ReleaseNames;
  readonly namespace: string;
  /** Whether the store is ours; an outside registry has logins of its own. */
  readonly ownStore: boolean;
}

/**
 * Brings everything into being that the other processes mount.
 * @param now milliseconds since the epoch
 * @returns the bundle of CAs to trust, PEM
 */
export async function ensureRelease(
  store: ObjectStore,
  options: ReleaseOptions,
  now: number,
): Promise<string> {
  const { names } = options;
  const ca = pairOf(await store.ensure('Secret', names.ca, (held) => keepCa(held, now), 'kubernetes.io/tls'));
  const bundle = await store.ensure('ConfigMap', names.ca, (held) =>
    Promise.resolve(keepBundle(held, ca, now)),
  );
  for (const [service, secret] of [
    [names.webhook, names.webhookTls],
    [names.copier, names.copierTls],
  ] as const) {
    const host = `${service}.${options.namespace}.svc`;
    await store.ensure('Secret', secret, (held) => keepServing(held, ca, host, now), 'kubernetes.io/tls');
  }
  if (options.ownStore) await ensureStoreLogins(store, names);
  return bundle['ca.crt'] ?? '';
}

async function ensureStoreLogins(store: ObjectStore, names: ReleaseNames): Promise<void> {
  const reader = await store.ensure('Secret', names.storeReader, keepLogin);
  const writer = await store.ensure('Secret', names.storeWriter, keepLogin);
  const trust = {
    'reader.jwks.json': await publicKeys(loginOf(reader)),
    'writer.jwks.json': await publicKeys(loginOf(writer)),
  };
  await store.ensure('ConfigMap', names.storeTrust, () => Promise.resolve(trust));
}

async function keepCa(held: Data | undefined, now: number): Promise<Data> {
  const pair = held && pairOf(held);
  return renewalReason(pair, { names: [] }, now) === undefined && held
    ? held
    : dataOf(await createCa('Larder', CA_DAYS, now));
}

function keepBundle(held: Data | undefined, ca: KeyPairPem, now: number): Data {
  return { 'ca.crt': mergeBundle(held?.['ca.crt'] ?? '', ca.cert, now) };
}

async function keepServing(held: Data | undefined, ca: KeyPairPem, host: string, now: number): Promise<Data> {
  const reason = renewalReason(held && pairOf(held), { names: [host], issuer: ca.cert }, now);
  if (reason === undefined && held) return held;
  return dataOf(await issueServerCertificate(ca, [host], SERVING_DAYS, now));
}

async function keepLogin(held: Data | undefined): Promise<Data> {
  if (held && (await isUsable(loginOf(held)))) return held;
  const { privateKey, keyId } = await createStoreLogin();
  return { 'private-key.pem': privateKey, 'key-id': keyId };
}

function loginOf(data: Data): StoreLogin {
  return { privateKey: data['private-key.pem'] ?? '', keyId: data['key-id'] ?? '' };
}

function pairOf(data: Data): KeyPairPem {
  return { cert: data['tls.crt'] ?? '', key: data['tls.key'] ?? '' };
}

function dataOf({ cert, key }: KeyPairPem): Data {
  return { 'tls.crt': cert, 'tls.key': key };
}
