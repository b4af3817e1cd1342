/**
 * Sends a request until it is authorised: at each refusal the authenticator may have something better to
 * show.
 */
import { type Challenge, parseChallenges } from '../../core/challenge.ts';
import type { RegistryError } from '../../core/errors.ts';
import { httpError, readErrorBody } from '../http/http-error.ts';
import { isRepeatable, type HttpRequest, type HttpResponse } from '../http/messages.ts';
import type { FollowedResponse } from '../http/redirect.ts';
import { secretsIn } from '../http/secrets.ts';
import type { Authenticator, Authorization } from './authenticator.ts';
import type { Scope } from './scope.ts';

export interface AuthorizedRequest extends HttpRequest {
  readonly authenticator: Authenticator;
  readonly scopes: readonly Scope[];
  /** The statuses to return; all others are thrown. */
  readonly accept: readonly number[];
  readonly signal: AbortSignal;
}

/**
 * Refusals that another credential may overcome. A 404 is one, since some registries hide what may not be
 * read.
 */
const REFUSALS: readonly number[] = [401, 403, 404];

/**
 * @param send sends the request once, with this Authorization header
 * @returns a response whose status is among the accepted ones
 * @throws RegistryError for any other response, and what `send` throws
 */
export async function authorized(
  request: AuthorizedRequest,
  send: (authorization: string | undefined) => Promise<FollowedResponse>,
): Promise<HttpResponse> {
  const { authenticator, scopes, accept, signal } = request;
  const header = await authenticator.authorization(scopes, signal);
  let current: Authorization = { header, tried: 0 };
  let challenges: readonly Challenge[] = [];
  let notFound: RegistryError | undefined;
  for (;;) {
    const response = await send(current.header);
    const { status, redirected } = response;
    if (accept.includes(status)) return response;
    const error = await errorOf(request, response, current.header);
    if (status === 404) notFound ??= error;
    // A credential that was shown that there is nothing knows better than later ones that may not look.
    const verdict = notFound ?? error;
    if (redirected || !REFUSALS.includes(status) || !isRepeatable(request)) throw verdict;
    // A 403 brings no challenge of its own: the next credential answers the last one that came.
    const challenge = response.header('www-authenticate');
    if (challenge !== undefined) challenges = parseChallenges(challenge);
    const next = await authenticator.renew({ challenges, status, ...current }, scopes, signal);
    if (next === undefined || isSame(next, current)) throw verdict;
    current = next;
  }
}

async function errorOf(
  { method }: HttpRequest,
  response: FollowedResponse,
  authorization: string | undefined,
): Promise<RegistryError> {
  const { url, status, redirected } = response;
  const retryAfter = response.header('retry-after');
  const body = await readErrorBody(response.body);
  const secrets = secretsIn(authorization);
  return httpError({ method, url, status, retryAfter, redirected, body, secrets }, Date.now());
}

function isSame(a: Authorization, b: Authorization): boolean {
  return a.header === b.header && a.tried === b.tried;
}
