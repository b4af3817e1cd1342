/** The images of one row of the fault table: those in the cache, in each form, and one that is not. */
import { encodeCachedName } from '../../registry/core/cached-name.ts';
import { digestOfTag, TAG } from './content.ts';

export interface HostileImage {
  readonly host: string;
  readonly repository: string;
  /** Tag or digest, with its `:` or `@`. */
  readonly suffix: string;
}

/**
 * `tag`: one manifest, by tag. `digest`: an index, by digest. `sparse`: an index that is cached for the
 * nodes' platforms only.
 */
export type CachedStates = Readonly<Record<'tag' | 'digest' | 'sparse', HostileImage>>;

/** @param fault the first part of the repositories' names */
export function cachedStates(host: string, fault: string): CachedStates {
  const pinned = `${fault}/pinned`;
  return {
    tag: { host, repository: `${fault}/single`, suffix: `:${TAG}` },
    digest: { host, repository: pinned, suffix: `@${digestOfTag(pinned)}` },
    sparse: { host, repository: `${fault}/sparse`, suffix: `:${TAG}` },
  };
}

export function uncached(host: string, fault: string, name = 'uncached'): HostileImage {
  return { host, repository: `${fault}/${name}`, suffix: `:${TAG}` };
}

/** The image as a pod names it. */
export function reference({ host, repository, suffix }: HostileImage): string {
  return `${host}/${repository}${suffix}`;
}

/** The image as the node's runtime is asked to pull it. */
export function throughProxy({ host, repository, suffix }: HostileImage): string {
  return `localhost:7439/${encodeCachedName({ host, repository })}${suffix}`;
}

/** The path of its manifest at the proxy. */
export function manifestPath({ host, repository, suffix }: HostileImage): string {
  return `/v2/${encodeCachedName({ host, repository })}/manifests/${suffix.slice(1)}`;
}
