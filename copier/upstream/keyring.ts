/** Which credentials a tenant's image may be fetched with: pull secrets of its namespace, read only when they are needed. */
import { isDeepStrictEqual } from 'node:util';
import { LRUCache } from 'lru-cache';
import { z } from 'zod';
import type { CachedName } from '../../registry/core/cached-name.ts';
import {
  matchCredentials,
  parsePullSecret,
  type Credential,
  type KeyringEntry,
  type PullSecretType,
} from '../../registry/core/credentials.ts';
import type { Logger } from '../../platform/log.ts';

/** The Kubernetes API as far as credentials need it. */
export interface PullSecretSource {
  /** A Secret's type and data (base64), or undefined when there is none of that name. */
  readSecret(namespace: string, name: string, signal: AbortSignal): Promise<unknown>;
  /** The pull secrets that CachedImages of this repository name; `tag` or digest narrows it to one image. */
  secretNames(
    name: CachedName,
    reference: string | undefined,
    signal: AbortSignal,
  ): Promise<readonly string[]>;
}

/** What whoever an image is fetched for may show to registries. */
export interface Login {
  /**
   * Credentials to try in turn, best first; none: anonymously.
   * @param host of the registry that they are shown to, as references name it
   */
  credentials(host: string): readonly Credential[];
  /** For when a registry has refused: the login as the cluster has it by now; undefined when that is no other. */
  renew(signal: AbortSignal): Promise<Login | undefined>;
}

const ANONYMOUS: Login = { credentials: () => [], renew: () => Promise.resolve(undefined) };

export interface KeyringOptions {
  readonly source: PullSecretSource;
  /** The administrator's Secret for a public name. */
  readonly publicSecret: (
    name: CachedName,
  ) => { readonly namespace: string; readonly name: string } | undefined;
  /** How long a secret is used without being read again, in milliseconds. One that is refused is read again at once. */
  readonly freshForMs: number;
  /** How long it is used at most while it cannot be read again, in milliseconds. */
  readonly staleForMs: number;
  /** Milliseconds of a clock that never jumps. */
  readonly now: () => number;
  readonly log: Logger;
}

const TYPES: Readonly<Record<PullSecretType, string>> = {
  'kubernetes.io/dockerconfigjson': '.dockerconfigjson',
  'kubernetes.io/dockercfg': '.dockercfg',
};
const REMEMBERED = { max: 5_000 };
/** How long a pull waits for the Kubernetes API when a secret is known from before, in milliseconds. */
const REREAD_MS = 500;
const secretSchema = z.object({
  type: z.enum(['kubernetes.io/dockerconfigjson', 'kubernetes.io/dockercfg']),
  data: z.record(z.string(), z.string()),
});

interface Read<T> {
  readonly value: T;
  readonly at: number;
}

export class Keyring {
  readonly #options: KeyringOptions;
  readonly #names = new LRUCache<string, Read<readonly string[]>>(REMEMBERED);
  readonly #secrets = new LRUCache<string, Read<readonly KeyringEntry[]>>(REMEMBERED);
  /** By secret: why it gave nothing when it was read last. */
  readonly #troubles = new LRUCache<string, string>(REMEMBERED);

  constructor(options: KeyringOptions) {
    this.#options = options;
  }

  /** Uses these names from now on, beside those that were known: an order says what the image's pods named. */
  learn(name: CachedName, pullSecrets: readonly string[]): void {
    if (name.tenant === undefined || pullSecrets.length === 0) return;
    const key = keyOf(name);
    const known = this.#names.get(key)?.value ?? [];
    this.#names.set(key, { value: [...new Set([...pullSecrets, ...known])], at: this.#options.now() });
  }

  /**
   * The login that an image is fetched with; a public name is fetched anonymously, unless a policy gives it a Secret.
   * @param reference tag or digest that is asked for, when it is one
   */
  async login(name: CachedName, reference: string | undefined, signal: AbortSignal): Promise<Login> {
    const { tenant } = name;
    if (tenant === undefined) return this.#publicLogin(name, signal);
    const known = this.#names.get(keyOf(name))?.value;
    const names = known ?? (await this.#askNames(name, reference, signal));
    const entries = await this.#entries(tenant, names, this.#options.freshForMs, signal);
    return {
      credentials: (host) => matchCredentials(entries, { host, repository: name.repository }),
      renew: async (renewSignal) => {
        // Nothing was known a moment ago, and that was waited for.
        if (names.length === 0) return undefined;
        await this.#askNames(name, reference, renewSignal);
        const now = this.#names.get(keyOf(name))?.value ?? [];
        if (isDeepStrictEqual(await this.#entries(tenant, now, 0, renewSignal), entries)) return undefined;
        return this.login(name, reference, renewSignal);
      },
    };
  }

  /** What is wrong with the secrets that the login of an image was last made of, for people. */
  troubles(name: CachedName): readonly string[] {
    const { tenant } = name;
    const secret = this.#options.publicSecret(name);
    const ofTenant = (this.#names.get(keyOf(name))?.value ?? []).map((known) => `${tenant ?? ''}/${known}`);
    const ofPolicy = secret === undefined ? [] : [`${secret.namespace}/${secret.name}`];
    return (tenant === undefined ? ofPolicy : ofTenant).flatMap((key) => this.#troubles.get(key) ?? []);
  }

  async #publicLogin(name: CachedName, signal: AbortSignal): Promise<Login> {
    const secret = this.#options.publicSecret(name);
    if (secret === undefined) return ANONYMOUS;
    const { namespace } = secret;
    const entries = await this.#entries(namespace, [secret.name], this.#options.freshForMs, signal);
    return {
      credentials: (host) => matchCredentials(entries, { host, repository: name.repository }),
      renew: async (renewSignal) => {
        const now = await this.#entries(namespace, [secret.name], 0, renewSignal);
        return isDeepStrictEqual(now, entries) ? undefined : this.#publicLogin(name, renewSignal);
      },
    };
  }

  async #askNames(
    name: CachedName,
    reference: string | undefined,
    signal: AbortSignal,
  ): Promise<readonly string[]> {
    const names = await this.#options.source.secretNames(name, reference, signal);
    this.learn(name, names);
    return names;
  }

  async #entries(
    namespace: string,
    names: readonly string[],
    freshForMs: number,
    signal: AbortSignal,
  ): Promise<KeyringEntry[]> {
    const secrets = names.map((name) => this.#secret(namespace, name, freshForMs, signal));
    return (await Promise.all(secrets)).flat();
  }

  async #secret(
    namespace: string,
    name: string,
    freshForMs: number,
    signal: AbortSignal,
  ): Promise<readonly KeyringEntry[]> {
    const { staleForMs, now, source, log } = this.#options;
    const key = `${namespace}/${name}`;
    const last = this.#secrets.get(key);
    const age = last === undefined ? Infinity : now() - last.at;
    if (last !== undefined && age < freshForMs) return last.value;
    const usable = last !== undefined && age < staleForMs;
    const limited = usable ? AbortSignal.any([signal, AbortSignal.timeout(REREAD_MS)]) : signal;
    let secret: unknown;
    try {
      secret = await source.readSecret(namespace, name, limited);
    } catch (error) {
      log.warn('pull secret cannot be read', { namespace, name, error });
      this.#troubles.set(key, `the pull secret ${name} cannot be read`);
      return usable ? last.value : [];
    }
    const value = this.#parse(secret, { namespace, name });
    this.#secrets.set(key, { value, at: now() });
    return value;
  }

  /** As for the kubelet, a secret that is gone, of another type or malformed gives nothing. */
  #parse(secret: unknown, ref: { namespace: string; name: string }): readonly KeyringEntry[] {
    const key = `${ref.namespace}/${ref.name}`;
    if (secret === undefined) {
      this.#troubles.set(key, `there is no pull secret ${ref.name} in ${ref.namespace}`);
      return [];
    }
    try {
      const { type, data } = secretSchema.parse(secret);
      const entries = parsePullSecret(type, Buffer.from(data[TYPES[type]] ?? '', 'base64').toString('utf8'));
      this.#troubles.delete(key);
      return entries;
    } catch (error) {
      this.#options.log.warn('pull secret cannot be used', { ...ref, error });
      this.#troubles.set(key, `${ref.name} in ${ref.namespace} is no pull secret that can be used`);
      return [];
    }
  }
}

function keyOf({ tenant = '', host, repository }: CachedName): string {
  return `${tenant} ${host}/${repository}`;
}
