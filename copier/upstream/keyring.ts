/**
 * Which credentials an image may be fetched with: a namespace's own pull secrets, or the Secret that a policy
 * gives to a public name.
 */
import { isDeepStrictEqual } from 'node:util';
import { LRUCache } from 'lru-cache';
import type { CachedName } from '../../registry/core/cached-name.ts';
import { matchCredentials, type Credential } from '../../registry/core/credentials.ts';
import { SecretReader, type SecretReaderOptions, type SecretRef } from './secret-reader.ts';

/** The Kubernetes API as far as credentials need it. */
export interface PullSecretSource {
  /** A Secret's type and data (base64), or undefined when there is none of that name. */
  readSecret(namespace: string, name: string, signal: AbortSignal): Promise<unknown>;
  /** The pull secrets that CachedImages of the repository name, or only the one of this tag or digest. */
  secretNames(
    name: CachedName,
    reference: string | undefined,
    signal: AbortSignal,
  ): Promise<readonly string[]>;
}

/** The administrator's policies as far as credentials need them. */
export interface PublicSecrets {
  /** The Secret for a public name; undefined: anonymously. */
  publicSecret(name: CachedName): SecretRef | undefined;
}

/** What a fetch may show to registries. */
export interface Login {
  /**
   * Credentials to try in turn, best first; none: anonymously.
   * @param host of the registry that they are shown to, as references name it
   */
  credentials(host: string): readonly Credential[];
  /** Reads the secrets again after a refusal. @returns undefined when they have not changed */
  renew(signal: AbortSignal): Promise<Login | undefined>;
}

const ANONYMOUS: Login = { credentials: () => [], renew: () => Promise.resolve(undefined) };

export interface KeyringOptions extends SecretReaderOptions {
  readonly source: PullSecretSource;
  readonly publicSecrets: PublicSecrets;
}

const REMEMBERED = { max: 5_000 };

export class Keyring {
  readonly #options: KeyringOptions;
  readonly #secrets: SecretReader;
  /** Names of pull secrets, by tenant and repository. */
  readonly #names = new LRUCache<string, readonly string[]>(REMEMBERED);

  constructor(options: KeyringOptions) {
    this.#options = options;
    this.#secrets = new SecretReader(options);
  }

  /** Adds the pull secrets that an order names, which are those of the image's pods. */
  learn(name: CachedName, pullSecrets: readonly string[]): void {
    if (name.tenant === undefined || pullSecrets.length === 0) return;
    const known = this.#names.get(keyOf(name)) ?? [];
    this.#names.set(keyOf(name), [...new Set([...pullSecrets, ...known])]);
  }

  /**
   * The login that an image is fetched with; a public name is fetched anonymously, unless a policy gives it a
   * Secret.
   * @param reference tag or digest that will be asked for, when it is one image
   */
  async login(name: CachedName, reference: string | undefined, signal: AbortSignal): Promise<Login> {
    const { tenant } = name;
    if (tenant !== undefined && !this.#names.has(keyOf(name))) await this.#askNames(name, reference, signal);
    const secrets = this.#known(name);
    // Nothing is known of a tenant's image although its CachedImage was just waited for, so it is not asked for
    // again after a refusal; a public name needs no login.
    if (secrets.length === 0) return ANONYMOUS;
    const entries = await this.#secrets.read(secrets, { anew: false, signal });
    return {
      credentials: (host) => matchCredentials(entries, { host, repository: name.repository }),
      renew: async (renewSignal) => {
        if (tenant !== undefined) await this.#askNames(name, reference, renewSignal);
        const now = await this.#secrets.read(this.#known(name), { anew: true, signal: renewSignal });
        return isDeepStrictEqual(now, entries) ? undefined : this.login(name, reference, renewSignal);
      },
    };
  }

  /** What is wrong with the secrets that an image was last fetched with, for people. */
  troubles(name: CachedName): readonly string[] {
    return this.#secrets.troubles(this.#known(name));
  }

  /** The secrets known for a name, best first. */
  #known(name: CachedName): readonly SecretRef[] {
    const { tenant } = name;
    if (tenant !== undefined)
      return (this.#names.get(keyOf(name)) ?? []).map((secret) => ({ namespace: tenant, name: secret }));
    const secret = this.#options.publicSecrets.publicSecret(name);
    return secret === undefined ? [] : [secret];
  }

  async #askNames(name: CachedName, reference: string | undefined, signal: AbortSignal): Promise<void> {
    this.learn(name, await this.#options.source.secretNames(name, reference, signal));
  }
}

function keyOf({ tenant = '', host, repository }: CachedName): string {
  return `${tenant} ${host}/${repository}`;
}
