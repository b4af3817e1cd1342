/** How requests are authorised: the interface, and the way of registries that challenge (anonymous, Basic, Bearer). */
import { formatScope, type Scope } from './scope.ts';
import { createHash } from 'node:crypto';
import type { Challenge } from '../../core/challenge.ts';
import type { Credential } from '../../core/credentials.ts';
import { type RegistryError, toRegistryError } from '../../core/errors.ts';
import type { Endpoint } from '../settings/upstream-settings.ts';
import type { AuthorizationCache } from './authorization-cache.ts';
import { basicPair } from '../http/secrets.ts';
import type { TokenServer } from './token-server.ts';

/** Where a request stands that the registry has refused. */
export interface Refusal {
  readonly challenges: readonly Challenge[];
  /** The header that was refused; undefined when none was sent. */
  readonly header: string | undefined;
  /** How many of the credentials this request has tried already. */
  readonly tried: number;
  /** 401, 403, or 404 from a registry that may hide what may not be read. */
  readonly status: number;
}

export interface Answer {
  /** Undefined: to be sent without, which brings a challenge. */
  readonly header: string | undefined;
  readonly tried: number;
}

export interface Authenticator {
  /** The Authorization header to send at once; undefined when none is known to be needed. */
  authorization(scopes: readonly Scope[], signal: AbortSignal): Promise<string | undefined>;
  /** What to send instead; undefined when there is nothing better and the refusal stands. */
  answer(refusal: Refusal, scopes: readonly Scope[], signal: AbortSignal): Promise<Answer | undefined>;
}

/** Shows nothing, whatever is asked for: for a registry that needs no login. */
export const noAuthentication: Authenticator = {
  authorization: () => Promise.resolve(undefined),
  answer: () => Promise.resolve(undefined),
};

export interface ChallengeAuthenticatorOptions {
  readonly endpoint: Endpoint;
  /** Tried in turn; none: anonymous. They are shown to this endpoint and its token server only. */
  readonly credentials: readonly Credential[];
  readonly tokens: TokenServer;
  readonly cache: AuthorizationCache;
}

/** Answers the registry's challenges, and remembers what worked so that the next request need not be challenged. */
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

  async answer(refusal: Refusal, scopes: readonly Scope[], signal: AbortSignal): Promise<Answer | undefined> {
    const { cache, credentials } = this.#options;
    // Only what was shown something can be denied or hidden, and what is hidden only another credential can see.
    const { header, status } = refusal;
    if (status !== 401 && header === undefined) return undefined;
    if (status === 404 && credentials.length < 2) return undefined;
    const key = this.#key(scopes);
    const known = cache.get(key);
    // Another request may have found a better one since this one was sent.
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
        // A token server that refuses one credential may take the next.
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

/** Basic does not expire; that it is forgotten now and then keeps no credential in memory for good. */
const BASIC_LIFETIME_MS = 10 * 60_000;
