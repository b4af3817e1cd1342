/** What somebody else wrote may be unusable, which is theirs to mend: it counts as absent. */
import { RegistryError } from '../../registry/core/errors.ts';

/**
 * What `parse` gives; undefined when it refuses the text with an error of `registry/`.
 * @throws what else it throws
 */
export function unlessInvalid<T>(parse: () => T): T | undefined {
  try {
    return parse();
  } catch (error) {
    if (error instanceof RegistryError) return undefined;
    throw error;
  }
}
