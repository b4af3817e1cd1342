/** Turns HTTP's and the network's failures into RegistryErrors, with capped bodies and redacted URLs. */
import type { Readable } from 'node:stream';
import { z } from 'zod';
import {
  errorField,
  OCI_ERROR_CODES,
  type OciErrorCode,
  type Reason,
  RegistryError,
  toRegistryError,
} from '../../core/errors.ts';
import { readBody } from './body.ts';
import { hideSecrets } from './secrets.ts';

/** How much of an error's body is read, in bytes. */
const MAX_ERROR_BODY = 64 * 1024;

const MAX_QUOTED = 200;
/** Characters of a registry's message that are searched for secrets. */
const MAX_SEARCHED = 8_192;

const bodySchema = z.object({
  errors: z.array(z.object({ code: z.string().optional(), message: z.string().nullish() })).min(1),
});

/** Origin and path only: queries can hold signatures, and user information passwords. */
export function redactUrl(url: URL): string {
  return url.origin + url.pathname;
}

export interface HttpFailure {
  readonly method: string;
  readonly url: URL;
  readonly status: number;
  readonly retryAfter?: string | undefined;
  /**
   * The response came from where the registry redirected to. Its 401 and 403 say nothing about the user's
   * rights.
   */
  readonly redirected: boolean;
  readonly body: Uint8Array;
  /** Secrets that the request held: the server may repeat them in its error. */
  readonly secrets: readonly string[];
}

export function httpError(failure: HttpFailure, now: number): RegistryError {
  const { method, url, status, body, redirected, secrets } = failure;
  const told = parseErrorBody(body, secrets);
  const message = `${method} ${redactUrl(url)} was answered ${status}${told.message === '' ? '' : `: ${told.message}`}`;
  const reason = redirected && (status === 401 || status === 403) ? 'UpstreamError' : reasonOf(status);
  return new RegistryError(message, {
    reason,
    ...(told.code === undefined ? {} : { code: told.code }),
    retryAfterSeconds: parseRetryAfter(failure.retryAfter, now),
  });
}

function reasonOf(status: number): Reason {
  switch (status) {
    case 401:
      return 'Unauthorized';
    case 403:
      return 'Forbidden';
    case 404:
      return 'NotFound';
    case 429:
      return 'RateLimited';
    case 408:
    case 504:
      return 'TimedOut';
    case 507:
      return 'StoreFull';
    default:
      return status >= 500 || status < 400 ? 'UpstreamError' : 'Invalid';
  }
}

/** For a request without a response: refused, reset, no such host, a certificate that is not trusted. */
export function networkError(error: unknown, url: URL): RegistryError {
  const known = toRegistryError(error);
  if (known.reason !== 'Internal') return known;
  const code = errorCode(error);
  const reason = code === 'ETIMEDOUT' || code.endsWith('_TIMEOUT') ? 'TimedOut' : 'Unreachable';
  const what = DESCRIPTIONS[code] ?? `cannot be reached (${code})`;
  return new RegistryError(`${url.host} ${what}`, { reason, cause: error });
}

const DESCRIPTIONS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'refuses connections',
  ECONNRESET: 'broke the connection off',
  UND_ERR_SOCKET: 'broke the connection off',
  ENOTFOUND: 'has no address',
  EAI_AGAIN: 'cannot be looked up',
  UND_ERR_BODY_TIMEOUT: 'was silent for too long',
  UND_ERR_CONNECT_TIMEOUT: 'does not accept connections in time',
  ETIMEDOUT: 'does not accept connections in time',
  CERT_HAS_EXPIRED: 'shows an expired certificate',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'shows a certificate that is not trusted',
  SELF_SIGNED_CERT_IN_CHAIN: 'shows a certificate that is not trusted',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'shows a certificate that is not trusted',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'shows a certificate that is not trusted',
  ERR_TLS_CERT_ALTNAME_INVALID: 'shows a certificate for another name',
};

/** A host with several addresses fails with an AggregateError; its first error speaks for all. */
function errorCode(error: unknown): string {
  const code = errorField(error, 'code');
  if (code !== '') return code;
  const inner =
    error instanceof AggregateError
      ? (error.errors[0] as unknown)
      : (error as { cause?: unknown } | null)?.cause;
  return inner === undefined || inner === null ? errorField(error, 'name') : errorCode(inner);
}

/** The body of an error. Empty when it is too long or breaks off: then the status has to do. */
export async function readErrorBody(body: Readable): Promise<Uint8Array> {
  const tooLarge = (): RegistryError =>
    new RegistryError('error body too large', { reason: 'UpstreamError' });
  return await readBody(body, MAX_ERROR_BODY, tooLarge).catch(() => new Uint8Array());
}

function parseErrorBody(
  body: Uint8Array,
  secrets: readonly string[],
): { code?: OciErrorCode; message: string } {
  try {
    const { errors } = bodySchema.parse(JSON.parse(Buffer.from(body).toString('utf8')));
    const code = OCI_ERROR_CODES.find((known) => known === errors[0]?.code);
    // Cut before it is searched, at a length that leaves what is quoted whole.
    const told = (errors[0]?.message ?? '').slice(0, MAX_SEARCHED);
    const message = hideSecrets(told, secrets)
      .replaceAll(/[\p{Cc}\s]+/gu, ' ')
      .slice(0, MAX_QUOTED);
    return code === undefined ? { message } : { code, message };
  } catch {
    return { message: '' };
  }
}

/** RFC 9110 section 10.2.3: seconds, or a date. */
export function parseRetryAfter(header: string | undefined, now: number): number | undefined {
  if (header === undefined) return undefined;
  if (/^[0-9]{1,9}$/.test(header)) return Number(header);
  const date = Date.parse(header);
  return Number.isNaN(date) ? undefined : Math.max(0, Math.ceil((date - now) / 1000));
}
