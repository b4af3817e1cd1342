/** Whose a cached image is: the rule of admission, which the controller follows for pods that admission never saw. */
import { globMatches } from '../registry/core/glob.ts';
import type { ImageName } from '../registry/core/reference.ts';

export interface TenancyRules {
  /** Globs over `host/repository` that anybody may read; `*` stands for any characters, `/` included. */
  readonly publicRepositories: readonly string[];
}

/** Who uses an image: a Pod. `pullSecrets` are those of the Pod as admission sees it, its ServiceAccount's included. */
export interface ImageUser {
  readonly namespace: string;
  readonly pullSecrets: readonly unknown[];
}

/** The namespace whose credentials fetch the image and whose pods alone may read it; undefined when anybody may. */
export function tenantOf(image: ImageName, user: ImageUser, rules: TenancyRules): string | undefined {
  if (user.pullSecrets.length === 0 || isPublic(image, rules)) return undefined;
  return user.namespace;
}

function isPublic({ host, repository }: ImageName, { publicRepositories }: TenancyRules): boolean {
  return publicRepositories.some((pattern) => globMatches(pattern, `${host}/${repository}`));
}
