/** Reads and remembers pull secrets, and can say what is wrong with those that gave nothing. */
import { LRUCache } from 'lru-cache';
import { z } from 'zod';
import { parsePullSecret, type KeyringEntry, type PullSecretType } from '../../registry/core/credentials.ts';
import type { Logger } from '../../platform/log.ts';

/** Names a Secret. */
export interface SecretRef {
  readonly namespace: string;
  readonly name: string;
}

export interface SecretReaderOptions {
  readonly source: {
    /** A Secret's type and data (base64), or undefined when there is none of that name. */
    readSecret(namespace: string, name: string, signal: AbortSignal): Promise<unknown>;
  };
  /** How long a secret is used without being read again, in milliseconds. */
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
/**
 * How long a pull waits for the Kubernetes API when it could also use a secret read earlier, in milliseconds.
 */
const REREAD_MS = 500;
const secretSchema = z.object({
  type: z.enum(['kubernetes.io/dockerconfigjson', 'kubernetes.io/dockercfg']),
  data: z.record(z.string(), z.string()),
});

export class SecretReader {
  readonly #options: SecretReaderOptions;
  readonly #secrets = new LRUCache<
    string,
    { readonly entries: readonly KeyringEntry[]; readonly at: number }
  >(REMEMBERED);
  /** Why a secret gave nothing when it was last read. */
  readonly #troubles = new LRUCache<string, string>(REMEMBERED);

  constructor(options: SecretReaderOptions) {
    this.#options = options;
  }

  /**
   * What all these secrets hold. One that cannot be used gives nothing and does not spoil the others.
   * @param anew reads them now, however fresh they are
   */
  async read(
    secrets: readonly SecretRef[],
    { anew, signal }: { readonly anew: boolean; readonly signal: AbortSignal },
  ): Promise<KeyringEntry[]> {
    const freshForMs = anew ? 0 : this.#options.freshForMs;
    const entries = secrets.map((secret) => this.#readOne(secret, freshForMs, signal));
    return (await Promise.all(entries)).flat();
  }

  /** What was wrong with these secrets when they were last read, for people. */
  troubles(secrets: readonly SecretRef[]): readonly string[] {
    return secrets.flatMap((secret) => this.#troubles.get(keyOf(secret)) ?? []);
  }

  async #readOne(ref: SecretRef, freshForMs: number, signal: AbortSignal): Promise<readonly KeyringEntry[]> {
    const { staleForMs, now, source, log } = this.#options;
    const { namespace, name } = ref;
    const key = keyOf(ref);
    const last = this.#secrets.get(key);
    const age = last === undefined ? Infinity : now() - last.at;
    if (last !== undefined && age < freshForMs) return last.entries;
    const usable = last !== undefined && age < staleForMs;
    const limited = usable ? AbortSignal.any([signal, AbortSignal.timeout(REREAD_MS)]) : signal;
    let secret: unknown;
    try {
      secret = await source.readSecret(namespace, name, limited);
    } catch (error) {
      log.warn('pull secret cannot be read', { namespace, name, error });
      this.#troubles.set(key, `the pull secret ${name} cannot be read`);
      return usable ? last.entries : [];
    }
    const entries = this.#parse(secret, ref);
    this.#secrets.set(key, { entries, at: now() });
    return entries;
  }

  /** As with the kubelet, a secret that is missing, of another type or malformed gives nothing. */
  #parse(secret: unknown, ref: SecretRef): readonly KeyringEntry[] {
    const key = keyOf(ref);
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

function keyOf({ namespace, name }: SecretRef): string {
  return `${namespace}/${name}`;
}
