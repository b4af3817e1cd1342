/**
 * Requests to registries: authorised, redirected within bounds, in time, and with every failure a
 * RegistryError.
 */
import type { Credential } from '../core/credentials.ts';
import { AuthorizationCache } from './auth/authorization-cache.ts';
import { authorized, type AuthorizedRequest } from './auth/authorized.ts';
import { type Authenticator, ChallengeAuthenticator } from './auth/authenticator.ts';
import { TokenServer } from './auth/token-server.ts';
import { bulkExchange } from './http/bulk-exchange.ts';
import type { Connections } from './http/connector.ts';
import { exchange } from './http/exchange.ts';
import { type Deadlines, type HttpRequest, type HttpResponse, isRepeatable } from './http/messages.ts';
import { followRedirects } from './http/redirect.ts';
import type { Lane } from './pace.ts';
import type { Endpoint } from './settings/upstream-settings.ts';

export interface RegistryRequest extends AuthorizedRequest {
  /** Replace the transport's own. */
  readonly deadlines?: Partial<Deadlines>;
  /** For a registry that may limit our requests. */
  readonly lane?: Lane;
}

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

  /** For a login to the store that is exchanged for tokens. */
  get tokenServer(): Pick<TokenServer, 'fetch'> {
    return this.#tokens;
  }

  /**
   * For a registry that challenges. Without credentials: anonymous, for which most registries want a token
   * too.
   */
  authenticator(endpoint: Endpoint, credentials: readonly Credential[] = []): Authenticator {
    return new ChallengeAuthenticator({ endpoint, credentials, tokens: this.#tokens, cache: this.#cache });
  }

  /**
   * @returns a response whose status is among the accepted ones; its body has to be read or destroyed
   * @throws RegistryError
   */
  async send(request: RegistryRequest): Promise<HttpResponse> {
    const { url, lane, signal } = request;
    const deadlines = { ...this.#deadlines, ...request.deadlines };
    return await authorized(request, async (authorization) => {
      lane?.admit();
      return await followRedirects(withAuthorization(request, authorization), async (hop) => {
        const response = await this.#exchange(hop, deadlines, signal);
        // Whoever the registry redirects to has limits of its own.
        if (hop.url.origin === url.origin) lane?.heard(response.status, (name) => response.header(name));
        return response;
      });
    });
  }

  /** Closes the connections once the exchanges under way have ended. */
  async close(): Promise<void> {
    this.#connections.pool.close();
    await this.#connections.dispatcher.close();
  }

  /** Bulk that goes through an HTTP proxy of the site is left to undici, which knows how to speak to one. */
  #exchange(request: HttpRequest, deadlines: Deadlines, signal: AbortSignal): Promise<HttpResponse> {
    const { dispatcher, pool, isDirect } = this.#connections;
    const isBulk = request.bulk === true && isDirect(request.url);
    return isBulk || !isRepeatable(request)
      ? bulkExchange(pool, request, deadlines, signal)
      : exchange(dispatcher, request, deadlines, signal);
  }
}

function withAuthorization(request: HttpRequest, authorization: string | undefined): HttpRequest {
  if (authorization === undefined) return request;
  return { ...request, headers: { ...request.headers, authorization } };
}
