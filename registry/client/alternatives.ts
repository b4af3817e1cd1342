/** Several endpoints for one registry: when one cannot help, the next is asked. */
import { RegistryError } from '../core/errors.ts';

/**
 * Returns the first success. Passes over a mirror that lacks the image, refuses or is away; throws the last
 * failure.
 * @param endpoints at least one, in the order in which to try them
 */
export async function firstOf<E, T>(
  endpoints: readonly E[],
  attempt: (endpoint: E) => Promise<T>,
): Promise<T> {
  let failure = new RegistryError('the registry has no endpoint', { reason: 'Unreachable' });
  for (const endpoint of endpoints) {
    try {
      return await attempt(endpoint);
    } catch (error) {
      if (!(error instanceof RegistryError) || error.reason === 'Canceled') throw error;
      failure = error;
    }
  }
  throw failure;
}
