/**
 * Logins to the store: a folder with a key that signs tokens, with a user name and password, or with nothing.
 * Another registry that is used as the store takes the password itself (Basic) or sends us to its token
 * server (Bearer).
 */
import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type CryptoKey, importPKCS8, SignJWT } from 'jose';
import type { BearerChallenge } from '../../core/challenge.ts';
import { errorField, RegistryError } from '../../core/errors.ts';
import { STORE_TOKEN_AUDIENCE, STORE_TOKEN_ISSUER } from '../../core/store-token.ts';
import type { Authenticator, Authorization, Refusal } from './authenticator.ts';
import { formatScope, type Scope } from './scope.ts';
import { AuthorizationCache } from './authorization-cache.ts';
import { basicPair } from '../http/secrets.ts';
import type { TokenServer } from './token-server.ts';
import type { Endpoint } from '../settings/upstream-settings.ts';

const LIFETIME_SECONDS = 3600;
/**
 * For clocks that differ: tokens are renewed this long before they end, and are valid from this long before
 * now.
 */
const MARGIN_SECONDS = 300;
/** For everything that fetching a token takes; the transport has deadlines of its own for each step. */
const TOKEN_MS = 10_000;
const LIFETIME_MS = (LIFETIME_SECONDS - MARGIN_SECONDS) * 1000;

export type StoreLogin =
  | { readonly kind: 'key'; readonly key: CryptoKey; readonly keyId: string }
  | { readonly kind: 'basic'; readonly username: string; readonly password: string }
  | { readonly kind: 'none' };

/** What one of our tokens permits (distribution's token specification, claim `access`). */
export interface StoreAccess {
  readonly type: string;
  readonly name: string;
  readonly actions: readonly string[];
}

/**
 * @throws RegistryError with reason `Invalid` when the folder holds half a login, or a key that cannot be
 * used
 */
export async function readStoreLogin(folder: string, signal?: AbortSignal): Promise<StoreLogin> {
  const read = async (name: string): Promise<string | undefined> => {
    try {
      return (await readFile(join(folder, name), { encoding: 'utf8', signal })).trim();
    } catch (error) {
      if (errorField(error, 'code') === 'ENOENT') return undefined;
      throw error;
    }
  };
  const [pem, keyId, username, password] = await Promise.all(
    ['private-key.pem', 'key-id', 'username', 'password'].map(read),
  );
  if (pem !== undefined && keyId !== undefined)
    return { kind: 'key', keyId, key: await importKey(pem, folder) };
  if (username !== undefined && password !== undefined) return { kind: 'basic', username, password };
  if ([pem, keyId, username, password].every((part) => part === undefined)) return { kind: 'none' };
  throw new RegistryError(`${folder} holds only half of a login`, { reason: 'Invalid' });
}

/** A token that distribution accepts by its signature alone (`auth.token`, ES256). */
export async function signStoreToken(
  login: Extract<StoreLogin, { kind: 'key' }>,
  access: readonly StoreAccess[],
): Promise<string> {
  const now = Math.floor(Date.now() / 1000);
  return await new SignJWT({ access })
    .setProtectedHeader({ alg: 'ES256', typ: 'JWT', kid: login.keyId })
    .setIssuer(STORE_TOKEN_ISSUER)
    .setSubject(STORE_TOKEN_ISSUER)
    .setAudience(STORE_TOKEN_AUDIENCE)
    .setJti(randomUUID())
    .setIssuedAt(now)
    .setNotBefore(now - MARGIN_SECONDS)
    .setExpirationTime(now + LIFETIME_SECONDS)
    .sign(login.key);
}

/** For a registry that sends us to its token server. */
export interface StoreTokens {
  readonly endpoint: Endpoint;
  readonly server: Pick<TokenServer, 'fetch'>;
}

/**
 * Authorises from a login folder. Logins are rotated, so it reads the folder again when the store refuses.
 */
export class StoreAuthenticator implements Authenticator {
  readonly #folder: string | undefined;
  readonly #tokens: StoreTokens | undefined;
  readonly #cache = new AuthorizationCache();
  readonly #making = new Map<string, Promise<Made | undefined>>();
  #login: StoreLogin | undefined;
  /** Set once the registry has sent us to its token server. */
  #challenge: BearerChallenge | undefined;

  /**
   * @param folder undefined: the store needs no login
   * @param tokens undefined: the store has no token server
   */
  constructor(folder: string | undefined, tokens?: StoreTokens) {
    this.#folder = folder;
    this.#tokens = tokens;
  }

  /** @throws RegistryError: the login cannot be used, or the token server gives no token for it */
  async authorization(scopes: readonly Scope[], signal: AbortSignal): Promise<string | undefined> {
    const folder = this.#folder;
    if (folder === undefined) return undefined;
    const key = scopes.map(formatScope).join(' ');
    const known = this.#cache.get(key);
    if (known !== undefined) return known;
    // The password may have changed since the last token was fetched with it.
    if (this.#login === undefined || this.#isExchanged(this.#login))
      this.#login = await readStoreLogin(folder, signal);
    const making = this.#making.get(key) ?? this.#make(this.#login, scopes);
    this.#making.set(key, making);
    const made = await making.finally(() => this.#making.delete(key));
    if (made !== undefined) this.#cache.set(key, made.header, made.lifetimeMs);
    return made?.header;
  }

  async renew(
    refusal: Refusal,
    scopes: readonly Scope[],
    signal: AbortSignal,
  ): Promise<Authorization | undefined> {
    if (this.#folder === undefined || refusal.status === 404 || refusal.tried > 0) return undefined;
    this.#login = await readStoreLogin(this.#folder, signal);
    this.#challenge =
      refusal.challenges.find((challenge) => challenge.scheme === 'bearer') ?? this.#challenge;
    this.#cache.delete(scopes.map(formatScope).join(' '));
    const header = await this.authorization(scopes, signal);
    return header === undefined ? undefined : { header, tried: 1 };
  }

  #isExchanged({ kind }: StoreLogin): boolean {
    return kind !== 'key' && this.#challenge !== undefined && this.#tokens !== undefined;
  }

  /** Shared by all who want the same at the same time, so it does not end with one caller's signal. */
  async #make(login: StoreLogin, scopes: readonly Scope[]): Promise<Made | undefined> {
    if (login.kind === 'key') {
      const token = await signStoreToken(login, scopes.map(access));
      return { header: `Bearer ${token}`, lifetimeMs: LIFETIME_MS };
    }
    const credential = login.kind === 'basic' ? login : undefined;
    if (this.#challenge !== undefined && this.#tokens !== undefined) {
      const { endpoint, server } = this.#tokens;
      const wanted = { challenge: this.#challenge, endpoint, scopes, credential };
      const { token, lifetimeMs } = await server.fetch(wanted, AbortSignal.timeout(TOKEN_MS));
      return { header: `Bearer ${token}`, lifetimeMs };
    }
    return credential && { header: `Basic ${basicPair(credential)}`, lifetimeMs: LIFETIME_MS };
  }
}

interface Made {
  readonly header: string;
  readonly lifetimeMs: number;
}

function access(scope: Scope): StoreAccess {
  return { type: 'repository', name: scope.repository, actions: scope.actions };
}

async function importKey(pem: string, folder: string): Promise<CryptoKey> {
  try {
    return await importPKCS8(pem, 'ES256');
  } catch {
    // The cause is dropped: it may quote the key.
    throw new RegistryError(`${folder}/private-key.pem is not a P-256 key in PKCS 8 form`, {
      reason: 'Invalid',
    });
  }
}
