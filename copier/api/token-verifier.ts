/**
 * Verifies the ServiceAccount tokens of the copier's clients, offline against the cluster's published keys.
 */
import { createLocalJWKSet, errors, jwtVerify, type JSONWebKeySet, type JWTPayload } from 'jose';
import { z } from 'zod';
import type { Logger } from '../../platform/log.ts';
import { RegistryError } from '../../registry/core/errors.ts';

/** The cluster's token issuer and its public keys (OIDC discovery of the API server). */
export interface IssuerKeys {
  readonly issuer: string;
  readonly jwks: JSONWebKeySet;
}

export interface TokenVerifierOptions {
  readonly fetchKeys: (signal: AbortSignal) => Promise<IssuerKeys>;
  readonly audience: string;
  /** `namespace/serviceaccount` of those who may pull. */
  readonly pullers: readonly string[];
  /** `namespace/serviceaccount` of those who may pull and order. */
  readonly operators: readonly string[];
  /** Milliseconds of a clock that never jumps. */
  readonly now: () => number;
  readonly log: Logger;
}

/** Both may pull, operators may order too. */
export type CallerRole = 'puller' | 'operator';

/** The keys are not fetched again within this many milliseconds, however many tokens name unknown ones. */
const REFETCH_PAUSE_MS = 5_000;
const FETCH_DEADLINE_MS = 5_000;
const ALGORITHMS = ['RS256', 'RS384', 'RS512', 'ES256', 'ES384', 'ES512', 'PS256', 'EdDSA'];
const BEARER = /^Bearer ([A-Za-z0-9._~+/=-]+)$/i;
const SUBJECT = /^system:serviceaccount:([a-z0-9.-]+):([a-z0-9.-]+)$/;

const issuerSchema = z.object({ issuer: z.string().min(1) });
const jwksSchema = z.object({ keys: z.array(z.looseObject({ kty: z.string() })) });

/** Reads both documents of the API server's discovery (Kubernetes, "Service account issuer discovery"). */
export async function discoverKeys(
  get: (path: string, signal: AbortSignal) => Promise<unknown>,
  signal: AbortSignal,
): Promise<IssuerKeys> {
  const { issuer } = issuerSchema.parse(await get('/.well-known/openid-configuration', signal));
  // The document may name a host that only the outside can reach; the API server itself always has the keys.
  return { issuer, jwks: jwksSchema.parse(await get('/openid/v1/jwks', signal)) };
}

export class TokenVerifier {
  readonly #options: TokenVerifierOptions;
  #keys: { readonly issuer: string; readonly find: ReturnType<typeof createLocalJWKSet> } | undefined;
  #fetching: Promise<void> | undefined;
  #fetchedAt = -Infinity;

  constructor(options: TokenVerifierOptions) {
    this.#options = options;
  }

  /** Whether there are keys to verify tokens with. */
  get ready(): boolean {
    return this.#keys !== undefined;
  }

  /**
   * The caller's role.
   * @param authorization value of the request's Authorization header
   * @throws RegistryError `Unauthorized` without a good token, `Forbidden` for an account that is not listed
   */
  async verify(authorization: string | undefined): Promise<CallerRole> {
    const [, token] = BEARER.exec(authorization ?? '') ?? [];
    if (token === undefined) throw unauthorized('a ServiceAccount token is needed');
    const { sub = '' } = await this.#claimsOf(token);
    const [, namespace = '', name = ''] = SUBJECT.exec(sub) ?? [];
    const account = `${namespace}/${name}`;
    if (this.#options.operators.includes(account)) return 'operator';
    if (this.#options.pullers.includes(account)) return 'puller';
    throw new RegistryError('this ServiceAccount may not call the copier', { reason: 'Forbidden' });
  }

  /** Fetches the keys now, unless that was just done. Never throws: then the former keys stay. */
  async refresh(): Promise<void> {
    if (this.#options.now() - this.#fetchedAt < REFETCH_PAUSE_MS) return this.#fetching;
    this.#fetchedAt = this.#options.now();
    this.#fetching = this.#options.fetchKeys(AbortSignal.timeout(FETCH_DEADLINE_MS)).then(
      ({ issuer, jwks }) => {
        this.#keys = { issuer, find: createLocalJWKSet(jwks) };
      },
      (error: unknown) => {
        this.#options.log.warn("the cluster's token keys cannot be fetched", { error });
      },
    );
    return this.#fetching;
  }

  async #claimsOf(token: string): Promise<JWTPayload> {
    if (this.#keys === undefined) await this.refresh();
    try {
      return await this.#verifyWithKeys(token);
    } catch (error) {
      if (!(error instanceof errors.JWKSNoMatchingKey)) throw refused(error);
    }
    // Perhaps signed with a key that the cluster has begun to use since.
    await this.refresh();
    return await this.#verifyWithKeys(token).catch((error: unknown) => {
      throw refused(error);
    });
  }

  async #verifyWithKeys(token: string): Promise<JWTPayload> {
    if (this.#keys === undefined) {
      throw new RegistryError("the cluster's token keys are not known yet", {
        reason: 'Internal',
        status: 503,
        retryable: true,
      });
    }
    const { issuer, find } = this.#keys;
    const { payload } = await jwtVerify(token, find, {
      issuer,
      audience: this.#options.audience,
      algorithms: ALGORITHMS,
      requiredClaims: ['exp', 'sub'],
      clockTolerance: 5,
    });
    return payload;
  }
}

function refused(error: unknown): RegistryError {
  return error instanceof RegistryError
    ? error
    : unauthorized('the ServiceAccount token is not valid', error);
}

function unauthorized(message: string, cause?: unknown): RegistryError {
  return new RegistryError(message, { reason: 'Unauthorized', cause });
}
