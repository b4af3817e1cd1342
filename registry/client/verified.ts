/**
 * Streams that are checked against their digest as they pass, and fail before their end when they do not
 * match it.
 */
import { createDigester, type Digest } from '../core/digest.ts';
import { RegistryError, toRegistryError } from '../core/errors.ts';

export interface VerifyOptions {
  readonly digest: Digest;
  /** The size that the content must have, in bytes. */
  readonly size?: number | undefined;
}

/**
 * Passes the bytes on, each chunk only once the next has come, and the last only once all are verified.
 * @throws RegistryError with reason `DigestMismatch` when content is wrong, too long or too short
 */
export async function* verified(
  source: AsyncIterable<Uint8Array>,
  options: VerifyOptions,
): AsyncGenerator<Uint8Array> {
  const { digest, size } = options;
  const digester = createDigester(digest);
  let held: Uint8Array | undefined;
  for await (const chunk of source) {
    digester.update(chunk);
    if (size !== undefined && digester.size > size) throw wrongSize(digest, size);
    if (held !== undefined) yield held;
    held = chunk;
  }
  if (size !== undefined && digester.size !== size) throw wrongSize(digest, size);
  digester.verify();
  if (held !== undefined) yield held;
}

/** The same stream, whose network errors are converted into RegistryErrors. */
export async function* withTypedErrors(
  source: AsyncIterable<Uint8Array>,
  convert: (error: unknown) => RegistryError = toRegistryError,
): AsyncGenerator<Uint8Array> {
  try {
    yield* source;
  } catch (error) {
    throw convert(error);
  }
}

function wrongSize(digest: Digest, size: number): RegistryError {
  return new RegistryError(`content of ${digest} does not have the ${size} bytes that were announced`, {
    reason: 'DigestMismatch',
    code: 'SIZE_INVALID',
  });
}
