/**
 * Follows redirects of reads: a bounded number, never from https to http, never with credentials to another
 * origin.
 */
import { RegistryError } from '../../core/errors.ts';
import { abandon } from './body.ts';
import { redactUrl } from './http-error.ts';
import type { HttpRequest, HttpResponse } from './messages.ts';

const MAX_REDIRECTS = 5;
const REDIRECTS: readonly number[] = [301, 302, 303, 307, 308];

/** The response after all redirects; `redirected` says whether it came from another origin. */
export interface FollowedResponse extends HttpResponse {
  readonly redirected: boolean;
}

/**
 * @throws RegistryError with reason `UpstreamError` for redirects that are not followed, and what `send`
 * throws
 */
export async function followRedirects(
  request: HttpRequest,
  send: (request: HttpRequest) => Promise<HttpResponse>,
): Promise<FollowedResponse> {
  const { origin } = request.url;
  let current = request;
  for (let hops = 0; hops <= MAX_REDIRECTS; hops++) {
    const response = await send(current);
    const location = response.header('location');
    const isRead = request.method === 'GET' || request.method === 'HEAD';
    if (!isRead || location === undefined || !REDIRECTS.includes(response.status)) {
      return { ...response, redirected: current.url.origin !== origin };
    }
    abandon(response);
    current = { ...current, ...redirectTo(location, current) };
  }
  throw refused(request.url, `redirects more than ${MAX_REDIRECTS} times`);
}

function redirectTo(location: string, { url, headers }: HttpRequest): Pick<HttpRequest, 'url' | 'headers'> {
  if (!URL.canParse(location, url.href)) throw refused(url, 'redirects to something that is not a URL');
  const next = new URL(location, url);
  const downgrade = url.protocol === 'https:' && next.protocol === 'http:';
  if (downgrade || !/^https?:$/.test(next.protocol)) throw refused(url, `redirects to ${next.protocol}//`);
  // User information would be sent as a credential, and it is not one that our user gave us.
  next.username = '';
  next.password = '';
  if (next.origin === url.origin) return { url: next, headers };
  return {
    url: next,
    headers: Object.fromEntries(
      Object.entries(headers).filter(([name]) => name.toLowerCase() !== 'authorization'),
    ),
  };
}

function refused(url: URL, what: string): RegistryError {
  return new RegistryError(`${redactUrl(url)} ${what}`, { reason: 'UpstreamError', retryable: false });
}
