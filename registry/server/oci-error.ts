/** Errors as a server of the distribution API answers them (OCI distribution 1.1, "Error Codes"). */
import type { ServerResponse } from 'node:http';
import { RegistryError, toOciErrorBody, toRegistryError } from '../core/errors.ts';

/** Refuses a request as such, whatever it asks for. Its headers go into the response. */
export class RequestRefused extends RegistryError {
  override readonly name = 'RequestRefused';
  readonly headers: Readonly<Record<string, string>>;

  constructor(message: string, status: number, headers: Readonly<Record<string, string>>) {
    super(message, { reason: 'Invalid', code: 'UNSUPPORTED', status });
    this.headers = headers;
  }
}

/** @param methods those that are served (RFC 9110 section 15.5.6) */
export function methodNotAllowed(...methods: readonly string[]): RequestRefused {
  const are = methods.length === 1 ? 'is' : 'are';
  const message = `only ${methods.join(' and ')} ${are} served here`;
  return new RequestRefused(message, 405, { allow: methods.join(', ') });
}

/** Its connection is closed: nobody has looked at what follows on it. */
export function bodyNotAllowed(): RequestRefused {
  return new RequestRefused('a request to pull has no body', 400, { connection: 'close' });
}

/**
 * Answers with an OCI error. A response that was begun is cut off instead.
 * @param headers further headers of the response
 */
export function sendOciError(
  response: ServerResponse,
  thrown: unknown,
  headers: Readonly<Record<string, string>> = {},
): void {
  if (response.headersSent) {
    response.destroy();
    return;
  }
  const error = toRegistryError(thrown);
  const body = JSON.stringify(toOciErrorBody(error));
  for (const name of response.getHeaderNames()) if (name !== 'connection') response.removeHeader(name);
  if (error.retryAfterSeconds !== undefined)
    response.setHeader('retry-after', Math.ceil(error.retryAfterSeconds));
  response.writeHead(error.status, {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(body),
    ...(error instanceof RequestRefused ? error.headers : {}),
    ...headers,
  });
  response.end(body);
}
