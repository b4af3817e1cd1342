/** Asks the supervisor of the release's own store for its status, and orders it to collect garbage. */
import { importPKCS8, SignJWT } from 'jose';
import { request } from 'undici';
import { z } from 'zod';
import { type StoreStatus, storeStatusSchema } from '../../api/store-api.ts';
import { STORE_SUPERVISOR_AUDIENCE, STORE_TOKEN_ISSUER } from '../../registry/core/store-token.ts';

export interface StoreClientOptions {
  readonly url: URL;
  /** The login that may write: its private key (PKCS 8, PEM) and the key's id. */
  readonly login: () => Promise<{ readonly privateKey: string; readonly keyId: string }>;
}

/** The supervisor did not do what it was asked. */
export class StoreError extends Error {
  override readonly name = 'StoreError';
  readonly code = 'StoreUnavailable';
  readonly retryable = true;
}

const DEADLINE_MS = 10_000;

export class StoreClient {
  readonly #options: StoreClientOptions;

  constructor(options: StoreClientOptions) {
    this.#options = options;
  }

  /** @throws StoreError, KubeError; the signal's reason when it was aborted */
  readonly status = (signal: AbortSignal): Promise<StoreStatus> => this.#call('GET', '/status', signal);

  /** Resolves with the store's status as the collection begins. @throws as {@link status} */
  readonly collect = (signal: AbortSignal): Promise<StoreStatus> => this.#call('POST', '/collect', signal);

  async #call(method: 'GET' | 'POST', path: string, signal: AbortSignal): Promise<StoreStatus> {
    const authorization = `Bearer ${await this.#token()}`;
    try {
      const { statusCode, body } = await request(new URL(path, this.#options.url), {
        method,
        headers: { authorization },
        signal: AbortSignal.any([signal, AbortSignal.timeout(DEADLINE_MS)]),
      });
      const text = await body.text();
      if (statusCode >= 300) throw new StoreError(`the store answered with status ${statusCode}`);
      return storeStatusSchema.parse(JSON.parse(text));
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof StoreError) throw error;
      const what = error instanceof z.ZodError ? 'sent an answer that cannot be read' : 'cannot be reached';
      throw new StoreError(`the store ${what}`, { cause: error });
    }
  }

  async #token(): Promise<string> {
    const { privateKey, keyId } = await this.#options.login();
    return await new SignJWT()
      .setProtectedHeader({ alg: 'ES256', kid: keyId })
      .setIssuer(STORE_TOKEN_ISSUER)
      .setAudience(STORE_SUPERVISOR_AUDIENCE)
      .setIssuedAt()
      .setExpirationTime('1m')
      .sign(await importPKCS8(privateKey, 'ES256'));
  }
}
