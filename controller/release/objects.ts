/** The contents of a release's Secrets and ConfigMaps: made once, and kept as long as they are good. */
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
import { callerTokenIn, keepCallerToken } from './admission-caller.ts';
import { isNewRelease, keepCapabilityKeys, keysIn } from './capability-keys.ts';
import { createStoreLogin, isUsable, publicKeys, type StoreLoginSecret } from './store-login.ts';

const BUNDLE_KEY = 'ca.crt';

/** The Secrets and ConfigMaps of the release. */
export interface ObjectStore {
  /**
   * Gives an object the data that `next` makes from what the object holds (undefined when it does not exist),
   * and writes only if the two differ. `next` is called again when somebody else wrote meanwhile.
   * @returns what the object holds in the end
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
  /** Whether the store belongs to the release; an external registry has logins of its own. */
  readonly ownStore: boolean;
  /** Whether we make the webhook's certificate; otherwise cert-manager does. */
  readonly ownWebhookCertificate: boolean;
  /** Takes the keys that capabilities are made with. */
  readonly onCapabilityKeys: (keys: readonly CapabilityKey[]) => void;
  /** Has the API server call the webhook with this token. */
  readonly publishCaller: (token: string) => Promise<void>;
  /** Called with the number of a line of their Secret that is no key, and is dropped. */
  readonly onBadKeyLine: (line: number) => void;
  /** Gives the API server and our own clients the CAs to trust (PEM). */
  readonly publish: (bundle: string) => Promise<void>;
}

/** Makes everything that the other processes mount, and takes a rotation of the CA one step further. */
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
  // Before the bundle is there, without which no proxy starts: so the first proxies have the keys at once.
  const isNew = isNewRelease(made, moment);
  const keys = await store.ensure('Secret', names.capabilityKeys, (held) =>
    Promise.resolve(
      keepCapabilityKeys(held, { now: moment.now, isNewRelease: isNew, onBadLine: options.onBadKeyLine }),
    ),
  );
  options.onCapabilityKeys(keysIn(keys));
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
  const caller = await store.ensure('Secret', names.admissionCaller, (held) =>
    Promise.resolve(keepCallerToken(held)),
  );
  await options.publishCaller(callerTokenIn(caller));
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

function loginOf(data: Data): StoreLoginSecret {
  return { privateKey: data['private-key.pem'] ?? '', keyId: data['key-id'] ?? '' };
}
