/** Errors that repeat what an upstream registry answered, told apart from our own. */
import { RegistryError, toRegistryError } from '../../registry/core/errors.ts';

export class UpstreamFailure extends RegistryError {
  override readonly name = 'UpstreamFailure';

  constructor(error: RegistryError) {
    const { message, reason, code, status, retryable, retryAfterSeconds } = error;
    super(message, {
      reason,
      code,
      // An answer of upstream's that is bad does not make the client's request bad.
      status: reason === 'Invalid' ? 502 : status,
      retryable,
      retryAfterSeconds,
      cause: error,
    });
  }
}

/**
 * Runs a step whose failures are upstream's.
 * @throws UpstreamFailure, or RegistryError when we ended it ourselves
 */
export async function askUpstream<T>(step: () => Promise<T>): Promise<T> {
  try {
    return await step();
  } catch (thrown) {
    throw toUpstreamFailure(thrown);
  }
}

export function toUpstreamFailure(thrown: unknown): RegistryError {
  const error = toRegistryError(thrown);
  const ours = error instanceof UpstreamFailure || error.reason === 'Canceled' || error.reason === 'Internal';
  return ours ? error : new UpstreamFailure(error);
}
