/** Where the store is: an origin, and below it perhaps a path, as the projects of some registries are. */
import { RegistryError } from '../../core/errors.ts';
import { isRepositoryName } from '../../core/reference.ts';

export interface StorePlace {
  readonly url: URL;
  /** Put in front of a cached name, this is the repository's name in the store: empty, or ends with a slash. */
  readonly prefix: string;
}

/**
 * `https://harbor.example/project` means the repositories `project/…` at `https://harbor.example`.
 * @throws RegistryError with reason `Invalid` when the path is no beginning of a repository's name
 */
export function storePlace(given: URL): StorePlace {
  const path = given.pathname.replaceAll(/^\/+|\/+$/g, '');
  if (path !== '' && !isRepositoryName(path))
    throw new RegistryError(`the path of the store's URL, ${path}, is no beginning of a repository's name`, {
      reason: 'Invalid',
    });
  return { url: new URL(given.origin), prefix: path === '' ? '' : `${path}/` };
}
