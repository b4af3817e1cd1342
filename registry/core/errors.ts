/**
 * The error type of all that deals with registries: what went wrong, for callers, for clients, and for a
 * status.
 */

/**
 * Error codes of the OCI distribution specification 1.1 ("Error Codes"), and three that registries add to
 * them.
 */
export const OCI_ERROR_CODES = [
  'BLOB_UNKNOWN',
  'BLOB_UPLOAD_INVALID',
  'BLOB_UPLOAD_UNKNOWN',
  'DIGEST_INVALID',
  'MANIFEST_BLOB_UNKNOWN',
  'MANIFEST_INVALID',
  'MANIFEST_UNKNOWN',
  'NAME_INVALID',
  'NAME_UNKNOWN',
  'SIZE_INVALID',
  'UNAUTHORIZED',
  'DENIED',
  'UNSUPPORTED',
  'TOOMANYREQUESTS',
  'RANGE_INVALID',
  'UNAVAILABLE',
  'UNKNOWN',
] as const;

export type OciErrorCode = (typeof OCI_ERROR_CODES)[number];

/** Stable reasons: conditions, Events, metrics and the copier's responses repeat them (docs/contracts.md). */
export const REASONS = [
  'NotFound',
  'Unauthorized',
  'Forbidden',
  'RateLimited',
  'Unreachable',
  'TimedOut',
  'UpstreamError',
  'Invalid',
  'DigestMismatch',
  'StoreUnavailable',
  'StoreFull',
  'Canceled',
  'Internal',
] as const;

export type Reason = (typeof REASONS)[number];

interface ReasonDefaults {
  readonly code: OciErrorCode;
  readonly status: number;
  readonly retryable: boolean;
}

const DEFAULTS: Record<Reason, ReasonDefaults> = {
  NotFound: { code: 'MANIFEST_UNKNOWN', status: 404, retryable: false },
  Unauthorized: { code: 'UNAUTHORIZED', status: 401, retryable: false },
  Forbidden: { code: 'DENIED', status: 403, retryable: false },
  RateLimited: { code: 'TOOMANYREQUESTS', status: 429, retryable: true },
  Unreachable: { code: 'UNAVAILABLE', status: 502, retryable: true },
  TimedOut: { code: 'UNAVAILABLE', status: 504, retryable: true },
  UpstreamError: { code: 'UNAVAILABLE', status: 502, retryable: true },
  Invalid: { code: 'MANIFEST_INVALID', status: 400, retryable: false },
  DigestMismatch: { code: 'DIGEST_INVALID', status: 502, retryable: true },
  StoreUnavailable: { code: 'UNAVAILABLE', status: 503, retryable: true },
  StoreFull: { code: 'UNAVAILABLE', status: 507, retryable: true },
  Canceled: { code: 'UNAVAILABLE', status: 503, retryable: true },
  Internal: { code: 'UNKNOWN', status: 500, retryable: false },
};

export interface RegistryErrorOptions {
  readonly reason: Reason;
  /** `code`, `status` and `retryable` follow from the reason unless given. */
  readonly code?: OciErrorCode;
  readonly status?: number;
  readonly retryable?: boolean;
  readonly retryAfterSeconds?: number | undefined;
  readonly cause?: unknown;
}

/** `message` may be shown to users: it never holds a credential, a query string or a signed URL. */
export class RegistryError extends Error {
  override readonly name: string = 'RegistryError';
  readonly reason: Reason;
  readonly code: OciErrorCode;
  /** The HTTP status to send to a client of ours. */
  readonly status: number;
  /** Whether the same request may succeed later without anybody changing anything. */
  readonly retryable: boolean;
  readonly retryAfterSeconds: number | undefined;

  constructor(message: string, options: RegistryErrorOptions) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    const defaults = DEFAULTS[options.reason];
    this.reason = options.reason;
    this.code = options.code ?? defaults.code;
    this.status = options.status ?? defaults.status;
    this.retryable = options.retryable ?? defaults.retryable;
    this.retryAfterSeconds = options.retryAfterSeconds;
  }
}

/** Whether nobody answered, or not in time: the registry is away, rather than unwilling. */
export function isOutage({ reason }: RegistryError): boolean {
  return reason === 'Unreachable' || reason === 'TimedOut';
}

export interface OciErrorBody {
  readonly errors: readonly [{ readonly code: OciErrorCode; readonly message: string }];
}

/**
 * The JSON body of an error response (OCI distribution 1.1, "Error Codes"). Messages of unknown errors are
 * withheld.
 */
export function toOciErrorBody(error: unknown): OciErrorBody {
  return error instanceof RegistryError
    ? { errors: [{ code: error.code, message: error.message }] }
    : { errors: [{ code: 'UNKNOWN', message: 'internal error' }] };
}

/**
 * Whatever was thrown, as a RegistryError: an abort is `Canceled`, a deadline `TimedOut`, anything else
 * `Internal`.
 */
export function toRegistryError(error: unknown): RegistryError {
  if (error instanceof RegistryError) return error;
  const name = errorField(error, 'name');
  if (name === 'AbortError') {
    return new RegistryError('the request was canceled', { reason: 'Canceled', cause: error });
  }
  if (name === 'TimeoutError') {
    return new RegistryError('the deadline has passed', { reason: 'TimedOut', cause: error });
  }
  return new RegistryError('internal error', { reason: 'Internal', cause: error });
}

/** A text field of whatever was thrown; empty when it has none. The value need not be an Error. */
export function errorField(error: unknown, field: 'name' | 'code'): string {
  const value: unknown = typeof error === 'object' && error !== null ? Reflect.get(error, field) : undefined;
  return typeof value === 'string' ? value : '';
}
