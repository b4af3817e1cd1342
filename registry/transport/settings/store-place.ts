/**
 * Where the store is: an origin and perhaps a path below it, since some registries keep repositories in
 * projects.
 */
import { RegistryError } from '../../core/errors.ts';
import { isRepositoryName } from '../../core/reference.ts';

export interface StorePlace {
  readonly url: URL;
  /** What the names of all repositories in the store begin with: empty, or ending with a slash. */
  readonly prefix: string;
}

/**
 * `https://harbor.example/project` stands for the repositories `project/…` at `https://harbor.example`.
 * @throws RegistryError with reason `Invalid` when no repository's name can begin with the path
 */
export function storePlace(given: URL): StorePlace {
  const path = given.pathname.replaceAll(/^\/+|\/+$/g, '');
  if (path !== '' && !isRepositoryName(path))
    throw new RegistryError(`the path of the store's URL, ${path}, cannot begin a repository's name`, {
      reason: 'Invalid',
    });
  return { url: new URL(given.origin), prefix: path === '' ? '' : `${path}/` };
}
