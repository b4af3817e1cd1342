/** Which credentials a tenant's image may be fetched with: pull secrets of its namespace, read only when they are needed. */
import { z } from 'zod';
import type { CachedName } from '../registry/core/cached-name.ts';
import {
  matchCredentials,
  parsePullSecret,
  type Credential,
  type KeyringEntry,
  type PullSecretType,
} from '../registry/core/credentials.ts';
import type { Logger } from '../platform/log.ts';

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

export interface KeyringOptions {
  readonly source: PullSecretSource;
  /** How long a secret is used without being read again, in milliseconds; a rotated one works from then on. */
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
const MAX_REMEMBERED = 5_000;
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
  readonly #names = new Map<string, Read<readonly string[]>>();
  readonly #secrets = new Map<string, Read<readonly KeyringEntry[]>>();

  constructor(options: KeyringOptions) {
    this.#options = options;
  }

  /** Uses these names from now on, beside those that were known: an order says what the image's pods named. */
  learn(name: CachedName, pullSecrets: readonly string[]): void {
    if (name.tenant === undefined || pullSecrets.length === 0) return;
    const key = keyOf(name);
    const known = this.#names.get(key)?.value ?? [];
    remember(this.#names, key, { value: [...new Set([...pullSecrets, ...known])], at: this.#options.now() });
  }

  /**
   * Credentials to try in turn, best first; none for a public name, which is fetched anonymously.
   * @param reference tag or digest that is asked for, when it is one
   */
  async credentials(
    name: CachedName,
    reference: string | undefined,
    signal: AbortSignal,
  ): Promise<readonly Credential[]> {
    const { tenant } = name;
    if (tenant === undefined) return [];
    const names = await this.#secretNames(name, reference, signal);
    const entries = await Promise.all(names.map((secret) => this.#entries(tenant, secret, signal)));
    return matchCredentials(entries.flat(), name);
  }

  async #secretNames(
    name: CachedName,
    reference: string | undefined,
    signal: AbortSignal,
  ): Promise<readonly string[]> {
    const known = this.#names.get(keyOf(name));
    if (known !== undefined) return known.value;
    this.learn(name, await this.#options.source.secretNames(name, reference, signal));
    return this.#names.get(keyOf(name))?.value ?? [];
  }

  async #entries(namespace: string, name: string, signal: AbortSignal): Promise<readonly KeyringEntry[]> {
    const { freshForMs, staleForMs, now, source, log } = this.#options;
    const key = `${namespace}/${name}`;
    const last = this.#secrets.get(key);
    if (last !== undefined && now() - last.at < freshForMs) return last.value;
    try {
      const value = parse(await source.readSecret(namespace, name, signal));
      remember(this.#secrets, key, { value, at: now() });
      return value;
    } catch (error) {
      log.warn('pull secret cannot be used', { namespace, name, error });
      return last !== undefined && now() - last.at < staleForMs ? last.value : [];
    }
  }
}

/** A secret that is gone gives nothing. @throws when it is of no type that holds registry credentials, or malformed */
function parse(secret: unknown): readonly KeyringEntry[] {
  if (secret === undefined) return [];
  const { type, data } = secretSchema.parse(secret);
  return parsePullSecret(type, Buffer.from(data[TYPES[type]] ?? '', 'base64').toString('utf8'));
}

function keyOf({ tenant = '', host, repository }: CachedName): string {
  return `${tenant} ${host}/${repository}`;
}

function remember<T>(map: Map<string, T>, key: string, value: T): void {
  map.delete(key);
  map.set(key, value);
  const [oldest] = map.keys();
  if (map.size > MAX_REMEMBERED && oldest !== undefined) map.delete(oldest);
}
