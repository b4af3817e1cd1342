/** Requests to registries: authorised, redirected within bounds, in time, and with every failure a RegistryError. */
import { type Challenge, parseChallenges } from '../core/challenge.ts';
import type { Credential } from '../core/credentials.ts';
import type { RegistryError } from '../core/errors.ts';
import { AuthorizationCache } from './auth/authorization-cache.ts';
import { type Authenticator, ChallengeAuthenticator } from './auth/authenticator.ts';
import type { Scope } from './auth/scope.ts';
import type { Connections } from './http/connector.ts';
import {
  type Deadlines,
  exchange,
  type HttpRequest,
  type HttpResponse,
  type PlainRequest,
} from './http/exchange.ts';
import { httpError, readErrorBody } from './http/http-error.ts';
import { secretsIn } from './http/secrets.ts';
import type { Lane } from './pace.ts';
import { type FollowedResponse, followRedirects } from './http/redirect.ts';
import { TokenServer } from './auth/token-server.ts';
import type { Endpoint } from './settings/upstream-settings.ts';
import { wireExchange } from './http/wire-exchange.ts';

export interface RegistryRequest extends HttpRequest {
  readonly authenticator: Authenticator;
  readonly scopes: readonly Scope[];
  /** Statuses that are answers; all others are thrown. */
  readonly accept: readonly number[];
  readonly signal: AbortSignal;
  /** Instead of the transport's own. */
  readonly deadlines?: Partial<Deadlines>;
  /** For a registry that may limit us. */
  readonly lane?: Lane;
}

/** Answers to which other credentials may be a remedy: some registries say that what may not be read is not there. */
const REFUSALS: readonly number[] = [401, 403, 404];

/** One per process and kind of peer. */
export class Transport {
  readonly #connections: Connections;
  readonly #deadlines: Deadlines;
  readonly #cache = new AuthorizationCache();
  readonly #tokens: TokenServer;

  constructor(connections: Connections, deadlines: Deadlines) {
    this.#connections = connections;
    this.#deadlines = deadlines;
    this.#tokens = new TokenServer((request, signal) => this.#exchange(request, deadlines, signal));
  }

  /** For a login of the store's that is exchanged for tokens. */
  get tokenServer(): Pick<TokenServer, 'fetch'> {
    return this.#tokens;
  }

  /** For a registry that challenges. Without credentials: anonymously, which most registries want a token for, too. */
  authenticator(endpoint: Endpoint, credentials: readonly Credential[] = []): Authenticator {
    return new ChallengeAuthenticator({ endpoint, credentials, tokens: this.#tokens, cache: this.#cache });
  }

  /**
   * @returns an answer whose status is among the accepted ones; its body has to be read or destroyed
   * @throws RegistryError
   */
  async send(request: RegistryRequest): Promise<HttpResponse> {
    const { authenticator, scopes, signal, accept, method } = request;
    let header = await authenticator.authorization(scopes, signal);
    let tried = 0;
    let challenges: readonly Challenge[] = [];
    let notFound: RegistryError | undefined;
    for (;;) {
      const response = await this.#sendOnce(request, header);
      if (accept.includes(response.status)) return response;
      const { status, redirected } = response;
      const retryAfter = response.header('retry-after');
      const body = await readErrorBody(response.body);
      const failure = { method, url: response.url, status, retryAfter, redirected, body };
      const error = httpError({ ...failure, secrets: secretsIn(header) }, Date.now());
      if (status === 404) notFound ??= error;
      // One credential that may see that there is nothing knows better than others that may not look.
      const verdict = notFound ?? error;
      if (redirected || !REFUSALS.includes(status) || !isRepeatable(request)) throw verdict;
      const challenge = response.header('www-authenticate');
      // A 403 brings no challenge of its own: the next credential answers the one that came before.
      if (challenge !== undefined) challenges = parseChallenges(challenge);
      const answer = await authenticator.answer({ challenges, header, tried, status }, scopes, signal);
      if (answer === undefined || (answer.header === header && answer.tried === tried)) throw verdict;
      ({ header, tried } = answer);
    }
  }

  /** Closes the connections once what is under way has ended. */
  async close(): Promise<void> {
    this.#connections.wires.close();
    await this.#connections.dispatcher.close();
  }

  async #sendOnce(request: RegistryRequest, authorization: string | undefined): Promise<FollowedResponse> {
    const headers = authorization === undefined ? request.headers : { ...request.headers, authorization };
    const deadlines = { ...this.#deadlines, ...request.deadlines };
    const { lane } = request;
    lane?.admit();
    return await followRedirects({ ...request, headers }, async (hop) => {
      const response = await this.#exchange(hop, deadlines, request.signal);
      // Where it redirects to has limits of its own.
      if (hop.url.origin === request.url.origin)
        lane?.heard(response.status, (name) => response.header(name));
      return response;
    });
  }

  #exchange(request: HttpRequest, deadlines: Deadlines, signal: AbortSignal): Promise<HttpResponse> {
    const { dispatcher, wires, reaches } = this.#connections;
    const isBulk = request.bulk === true && reaches(request.url);
    return isBulk || !isRepeatable(request)
      ? wireExchange(wires, request, deadlines, signal)
      : exchange(dispatcher, request, deadlines, signal);
  }
}

/** A stream that was sent is gone. */
function isRepeatable(request: HttpRequest): request is PlainRequest {
  return request.body === undefined || request.body instanceof Uint8Array;
}
