/** Fetches Bearer tokens (Docker's token protocol and its OAuth 2 form), anonymously or with a credential. */
import { z } from 'zod';
import type { BearerChallenge } from '../../core/challenge.ts';
import type { Credential } from '../../core/credentials.ts';
import { RegistryError } from '../../core/errors.ts';
import { formatScope, type Scope } from './scope.ts';
import type { HttpRequest, HttpResponse } from '../http/messages.ts';
import { readBody } from '../http/body.ts';
import { httpError, readErrorBody } from '../http/http-error.ts';
import { trustedRealm } from './trusted-realm.ts';
import { followRedirects } from '../http/redirect.ts';
import { basicPair, secretsOf } from '../http/secrets.ts';
import type { Endpoint } from '../settings/upstream-settings.ts';

const MAX_TOKEN_BODY = 1024 * 1024;
/** The protocol's own default and minimum. */
const MIN_LIFETIME_SECONDS = 60;
/** A token is not used in its last seconds, since it may expire on the way. */
const MARGIN_SECONDS = 10;

const answerSchema = z
  .object({
    token: z.string().optional(),
    access_token: z.string().optional(),
    expires_in: z.number().optional().catch(undefined),
  })
  .transform(({ token, access_token, expires_in }) => ({ token: token ?? access_token ?? '', expires_in }));

export interface TokenRequest {
  readonly challenge: BearerChallenge;
  readonly endpoint: Endpoint;
  readonly scopes: readonly Scope[];
  readonly credential: Credential | undefined;
}

export interface Token {
  readonly token: string;
  readonly lifetimeMs: number;
}

export class TokenServer {
  readonly #send: (request: HttpRequest, signal: AbortSignal) => Promise<HttpResponse>;

  constructor(send: (request: HttpRequest, signal: AbortSignal) => Promise<HttpResponse>) {
    this.#send = send;
  }

  /**
   * @throws RegistryError: the realm is not trusted, the credential is refused, or the server sends no token
   */
  async fetch(request: TokenRequest, signal: AbortSignal): Promise<Token> {
    const url = await trustedRealm(request.challenge.realm, request.endpoint);
    const http = toHttpRequest(url, request);
    const response = await followRedirects(http, (hop) => this.#send(hop, signal));
    const { method } = http;
    if (response.status !== 200) {
      const { status, redirected } = response;
      const retryAfter = response.header('retry-after');
      const body = await readErrorBody(response.body);
      const secrets = secretsOf(request.credential);
      throw httpError({ method, url, status, retryAfter, redirected, body, secrets }, Date.now());
    }
    const nonsense = (): RegistryError =>
      new RegistryError(`the token server ${url.host} did not answer with a token`, {
        reason: 'UpstreamError',
      });
    const { token, expires_in } = parseAnswer(
      await readBody(response.body, MAX_TOKEN_BODY, nonsense),
      nonsense,
    );
    const lifetime = Math.max(expires_in ?? MIN_LIFETIME_SECONDS, MIN_LIFETIME_SECONDS) - MARGIN_SECONDS;
    return { token, lifetimeMs: lifetime * 1000 };
  }
}

function toHttpRequest(realm: URL, { challenge, scopes, credential }: TokenRequest): HttpRequest {
  const url = new URL(realm);
  const wanted = scopes.length > 0 ? scopes.map(formatScope) : (challenge.scope?.split(' ') ?? []);
  if (credential?.identityToken !== undefined) {
    const form = new URLSearchParams({
      grant_type: 'refresh_token',
      refresh_token: credential.identityToken,
      client_id: 'larder',
      service: challenge.service ?? '',
      scope: wanted.join(' '),
    });
    const headers = { 'content-type': 'application/x-www-form-urlencoded' };
    return { method: 'POST', url, headers, body: Buffer.from(form.toString()) };
  }
  if (challenge.service !== undefined) url.searchParams.set('service', challenge.service);
  for (const scope of wanted) url.searchParams.append('scope', scope);
  const headers = credential === undefined ? {} : { authorization: `Basic ${basicPair(credential)}` };
  return { method: 'GET', url, headers };
}

function parseAnswer(body: Buffer, nonsense: () => RegistryError): z.infer<typeof answerSchema> {
  try {
    const answer = answerSchema.parse(JSON.parse(body.toString('utf8')));
    if (/^[\x21-\x7e]+$/.test(answer.token)) return answer;
  } catch {
    // The parser's message is dropped: it quotes the body, which may hold half a token.
  }
  throw nonsense();
}
