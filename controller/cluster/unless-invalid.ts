/** Text that users wrote may be invalid. Only they can correct it; here it counts as absent. */
import { RegistryError } from '../../registry/core/errors.ts';

/**
 * The result of `parse`; undefined when it throws an error of `registry/`.
 * @throws any other error of `parse`
 */
export function unlessInvalid<T>(parse: () => T): T | undefined {
  try {
    return parse();
  } catch (error) {
    if (error instanceof RegistryError) return undefined;
    throw error;
  }
}
