/** What the Secrets and ConfigMaps of a release should hold, given what they hold: made once, kept as long as it is good. */
import type { ReleaseNames } from '../../api/names.ts';
import type { CapabilityKey } from '../../registry/core/capability.ts';
import {
  keepAuthority,
  keepServing,
  markPublished,
  mayRetire,
  readAuthority,
  retirePrevious,
  trustedBundle,
  type Data,
  type Moment,
} from './authority.ts';
import { keepCapabilityKeys, keysIn } from './capability-keys.ts';
import { createStoreLogin, isUsable, publicKeys, type StoreLogin } from './store-login.ts';

const BUNDLE_KEY = 'ca.crt';

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
  /** Whether the webhook's certificate is ours; cert-manager may make it instead. */
  readonly ownWebhookCertificate: boolean;
  /** Told of the keys that capabilities are made with. */
  readonly onCapabilityKeys: (keys: readonly CapabilityKey[]) => void;
  /** Tells the API server, and our own clients, which CAs to trust (PEM). */
  readonly publish: (bundle: string) => Promise<void>;
}

/** Brings everything into being that the other processes mount, and takes a rotation of the CA one step further. */
export async function ensureRelease(
  store: ObjectStore,
  options: ReleaseOptions,
  moment: Moment,
): Promise<void> {
  const { names, namespace } = options;
  const change = (next: (held: Data | undefined) => Promise<Data>): Promise<Data> =>
    store.ensure('Secret', names.ca, next, 'kubernetes.io/tls');
  const publish = async (bundleOf: (held: string) => string): Promise<string> => {
    const written = await store.ensure('ConfigMap', names.ca, (held) =>
      Promise.resolve({ [BUNDLE_KEY]: bundleOf(held?.[BUNDLE_KEY] ?? '') }),
    );
    const bundle = written[BUNDLE_KEY] ?? '';
    await options.publish(bundle);
    return bundle;
  };

  const made = readAuthority(await change((held) => keepAuthority(held, moment)));
  const bundle = await publish((held) => trustedBundle(held, made, moment));
  const authority = readAuthority(
    await change(async (held) => markPublished(held ?? (await keepAuthority(held, moment)), moment)),
  );
  const serving: Data[] = [];
  for (const [service, secret] of [
    ...(options.ownWebhookCertificate ? [[names.webhook, names.webhookTls] as const] : []),
    [names.copier, names.copierTls] as const,
  ]) {
    const host = `${service}.${namespace}.svc`;
    const next = (held: Data | undefined): Promise<Data> =>
      keepServing(held, authority, { host, bundle }, moment);
    serving.push(await store.ensure('Secret', secret, next, 'kubernetes.io/tls'));
  }
  if (options.ownStore) await ensureStoreLogins(store, names);
  const keys = await store.ensure('Secret', names.capabilityKeys, (held) =>
    Promise.resolve(keepCapabilityKeys(held, moment.now)),
  );
  options.onCapabilityKeys(keysIn(keys));
  if (!mayRetire(authority, serving, moment)) return;
  await change(async (held) => retirePrevious(held ?? (await keepAuthority(held, moment))));
  await publish(() => authority.current.cert);
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

async function keepLogin(held: Data | undefined): Promise<Data> {
  if (held && (await isUsable(loginOf(held)))) return held;
  const { privateKey, keyId } = await createStoreLogin();
  return { 'private-key.pem': privateKey, 'key-id': keyId };
}

function loginOf(data: Data): StoreLogin {
  return { privateKey: data['private-key.pem'] ?? '', keyId: data['key-id'] ?? '' };
}
