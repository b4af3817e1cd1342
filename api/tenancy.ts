/** Whose credentials an image is fetched with. Admission and the controller must apply the same rule. */
import { globMatches } from '../registry/core/glob.ts';
import type { Reference } from '../registry/core/reference.ts';

export interface TenancyInput {
  readonly image: Reference;
  readonly namespace: string;
  /**
   * Names of the pull secrets of the admitted Pod. Those of its ServiceAccount are among them: the API
   * server's own plugin puts them into the Pod before it calls any webhook.
   */
  readonly pullSecrets: readonly string[];
  /** Globs over `host/repository` that an administrator declared public; `*` also matches slashes. */
  readonly publicRepositories: readonly string[];
}

/** The namespace for which the image is cached; undefined when it is cached for everybody. */
export function tenantOf({
  image,
  namespace,
  pullSecrets,
  publicRepositories,
}: TenancyInput): string | undefined {
  if (pullSecrets.length === 0) return undefined;
  const name = `${image.host}/${image.repository}`;
  return publicRepositories.some((glob) => globMatches(glob, name)) ? undefined : namespace;
}
