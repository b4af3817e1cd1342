/**
 * How our requests are authorised: the interface, and its answer to registries that challenge (anonymous,
 * Basic, Bearer).
 */
import { formatScope, type Scope } from './scope.ts';
import { createHash } from 'node:crypto';
import type { Challenge } from '../../core/challenge.ts';
import type { Credential } from '../../core/credentials.ts';
import { type RegistryError, toRegistryError } from '../../core/errors.ts';
import type { Endpoint } from '../settings/upstream-settings.ts';
import type { AuthorizationCache } from './authorization-cache.ts';
import { basicPair } from '../http/secrets.ts';
import type { TokenServer } from './token-server.ts';

/** A request that the registry has refused. */
export interface Refusal {
  readonly challenges: readonly Challenge[];
  /** The header that was refused; undefined when none was sent. */
  readonly header: string | undefined;
  /** How many of the credentials have been tried for this request. */
  readonly tried: number;
  /** 401, 403, or the 404 of a registry that hides what may not be read. */
  readonly status: number;
}

/** What to send with the next try. */
export interface Authorization {
  /** The Authorization header. Undefined: send none, so that the registry challenges. */
  readonly header: string | undefined;
  /** How many of the credentials will then have been tried. */
  readonly tried: number;
}

export interface Authenticator {
  /** The Authorization header to begin with; undefined when none is known to be needed. */
  authorization(scopes: readonly Scope[], signal: AbortSignal): Promise<string | undefined>;
  /** What to send after a refusal; undefined when there is nothing better, and the refusal stands. */
  renew(refusal: Refusal, scopes: readonly Scope[], signal: AbortSignal): Promise<Authorization | undefined>;
}

/** For a registry that needs no login. */
export const noAuthentication: Authenticator = {
  authorization: () => Promise.resolve(undefined),
  renew: () => Promise.resolve(undefined),
};

export interface ChallengeAuthenticatorOptions {
  readonly endpoint: Endpoint;
  /** Tried in turn. None: anonymous. Only this endpoint and its token server are shown them. */
  readonly credentials: readonly Credential[];
  readonly tokens: TokenServer;
  readonly cache: AuthorizationCache;
}

/** Answers a registry's challenges, and remembers what worked, so that the next request is not challenged. */
export class ChallengeAuthenticator implements Authenticator {
  readonly #options: ChallengeAuthenticatorOptions;
  readonly #identity: string;

  constructor(options: ChallengeAuthenticatorOptions) {
    this.#options = options;
    this.#identity = createHash('sha256')
      .update(JSON.stringify([options.endpoint.origin, options.credentials]))
      .digest('base64');
  }

  authorization(scopes: readonly Scope[]): Promise<string | undefined> {
    return Promise.resolve(this.#options.cache.get(this.#key(scopes)));
  }

  async renew(
    refusal: Refusal,
    scopes: readonly Scope[],
    signal: AbortSignal,
  ): Promise<Authorization | undefined> {
    const { cache, credentials } = this.#options;
    // Without a credential there was nothing to deny. Only another credential can see what was hidden from
    // this one.
    const { header, status } = refusal;
    if (status !== 401 && header === undefined) return undefined;
    if (status === 404 && credentials.length < 2) return undefined;
    const key = this.#key(scopes);
    const known = cache.get(key);
    // Another request may have found a better header since this one was sent.
    if (known !== undefined && known !== header) return { header: known, tried: refusal.tried };
    cache.delete(key);
    if (status !== 401 && refusal.challenges.length === 0) return { header: undefined, tried: 0 };
    const candidates = credentials.length === 0 ? [undefined] : credentials;
    let failure: RegistryError | undefined;
    for (let tried = refusal.tried; tried < candidates.length; tried++) {
      try {
        const granted = await this.#grant(refusal.challenges, scopes, candidates[tried], signal);
        if (granted === undefined) continue;
        cache.set(key, granted.header, granted.lifetimeMs);
        return { header: granted.header, tried: tried + 1 };
      } catch (error) {
        // A token server that refuses one credential may accept the next.
        failure = toRegistryError(error);
      }
    }
    if (failure !== undefined) throw failure;
    return undefined;
  }

  async #grant(
    challenges: readonly Challenge[],
    scopes: readonly Scope[],
    credential: Credential | undefined,
    signal: AbortSignal,
  ): Promise<Granted | undefined> {
    const bearer = challenges.find((challenge) => challenge.scheme === 'bearer');
    if (bearer !== undefined) {
      const { endpoint, tokens } = this.#options;
      const token = await tokens.fetch({ challenge: bearer, endpoint, scopes, credential }, signal);
      return { header: `Bearer ${token.token}`, lifetimeMs: token.lifetimeMs };
    }
    const basic = challenges.some((challenge) => challenge.scheme === 'basic');
    if (!basic || credential === undefined || credential.identityToken !== undefined) return undefined;
    return { header: `Basic ${basicPair(credential)}`, lifetimeMs: BASIC_LIFETIME_MS };
  }

  #key(scopes: readonly Scope[]): string {
    return [this.#identity, ...scopes.map(formatScope)].join(' ');
  }
}

interface Granted {
  readonly header: string;
  readonly lifetimeMs: number;
}

/** Basic does not expire. Forgetting it now and then keeps no credential in memory for good. */
const BASIC_LIFETIME_MS = 10 * 60_000;
