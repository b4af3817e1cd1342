/**
 * The one error type of everything that deals with registries: what went wrong, for a caller, a client and a
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

/** Stable reasons that end up in conditions, Events, metrics and the copier's answers (docs/contracts.md). */
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
  /** The three below follow from the reason unless given. */
  readonly code?: OciErrorCode;
  readonly status?: number;
  readonly retryable?: boolean;
  readonly retryAfterSeconds?: number | undefined;
  readonly cause?: unknown;
}

/** `message` is fit for users: it never holds a credential, a query string or a signed URL. */
export class RegistryError extends Error {
  override readonly name: string = 'RegistryError';
  readonly reason: Reason;
  readonly code: OciErrorCode;
  /** The HTTP status with which to pass the error on to a client of ours. */
  readonly status: number;
  /** Whether the same request may succeed later although nobody changes anything. */
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
 * The JSON body of an error answer (OCI distribution 1.1, "Error Codes"). Unknown errors do not tell their
 * message.
 */
export function toOciErrorBody(error: unknown): OciErrorBody {
  return error instanceof RegistryError
    ? { errors: [{ code: error.code, message: error.message }] }
    : { errors: [{ code: 'UNKNOWN', message: 'internal error' }] };
}

/**
 * Turns whatever was thrown into a RegistryError: an abort is `Canceled`, a deadline `TimedOut`, the rest
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

/** A text field of whatever was thrown, which need not be an Error of this realm; empty when it has none. */
export function errorField(error: unknown, field: 'name' | 'code'): string {
  const value: unknown = typeof error === 'object' && error !== null ? Reflect.get(error, field) : undefined;
  return typeof value === 'string' ? value : '';
}
