/** Whose credentials an image is fetched with: the rule that admission and the controller must apply alike. */
import { globMatches } from '../registry/core/glob.ts';
import type { Reference } from '../registry/core/reference.ts';

export interface TenancyInput {
  readonly image: Reference;
  readonly namespace: string;
  /** Names of the pull secrets of the Pod as admitted, its ServiceAccount's merged in. */
  readonly pullSecrets: readonly string[];
  /** Globs over `host/repository` that an administrator declared public; `*` also crosses slashes. */
  readonly publicRepositories: readonly string[];
}

/** The namespace under which the image is cached, or undefined when it is cached for everybody. */
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
