/** Errors of requests to the Kubernetes API. */
import { z } from 'zod';

const StatusBody = z.object({
  reason: z.string().optional().catch(undefined),
  message: z.string().optional().catch(undefined),
  details: z
    .object({ retryAfterSeconds: z.number().optional().catch(undefined) })
    .optional()
    .catch(undefined),
});

const MAX_MESSAGE = 1_000;

/** The API server refused a request (meta/v1 Status), or did not respond (`status` 0). */
export class KubeError extends Error {
  readonly code = 'KubernetesApi';
  /** The HTTP status; 0 when there was no response. */
  readonly status: number;
  /** Kubernetes' own reason, such as `NotFound`, `AlreadyExists`, `Conflict`, `Expired`. */
  readonly reason: string;
  readonly retryable: boolean;
  /** How long the server asks us to wait, in milliseconds. */
  readonly retryAfterMs: number | undefined;

  constructor(
    request: string,
    answer: { status: number; reason: string; message: string; retryAfterMs?: number | undefined },
    cause?: unknown,
  ) {
    super(`${request}: ${answer.message.slice(0, MAX_MESSAGE)}`, cause === undefined ? {} : { cause });
    this.name = 'KubeError';
    this.status = answer.status;
    this.reason = answer.reason;
    this.retryable = answer.status === 0 || answer.status === 429 || answer.status >= 500;
    this.retryAfterMs = answer.retryAfterMs;
  }

  /** From an HTTP response, whose body may be a Status or a load balancer's error page. */
  static fromAnswer(request: string, status: number, body: string, retryAfter?: string): KubeError {
    const parsed = StatusBody.safeParse(jsonOrUndefined(body));
    const seconds = (parsed.data?.details?.retryAfterSeconds ?? Number(retryAfter)) || undefined;
    return new KubeError(request, {
      status,
      reason: parsed.data?.reason ?? 'Unknown',
      message: parsed.data?.message ?? `HTTP ${status} ${body}`,
      retryAfterMs: seconds === undefined ? undefined : seconds * 1_000,
    });
  }

  /** From a connection that failed or broke. */
  static unreachable(request: string, cause: unknown): KubeError {
    const message = cause instanceof Error ? cause.message : String(cause);
    return new KubeError(request, { status: 0, reason: 'Unreachable', message }, cause);
  }
}

export function isNotFound(error: unknown): boolean {
  return error instanceof KubeError && error.status === 404;
}

/** Somebody else changed the object meanwhile. */
export function isConflict(error: unknown): boolean {
  return error instanceof KubeError && error.status === 409 && error.reason !== 'AlreadyExists';
}

export function isAlreadyExists(error: unknown): boolean {
  return error instanceof KubeError && error.status === 409 && error.reason === 'AlreadyExists';
}

/** The API server no longer knows the resource version: list again. */
export function isGone(error: unknown): boolean {
  return error instanceof KubeError && (error.status === 410 || error.reason === 'Expired');
}

function jsonOrUndefined(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
