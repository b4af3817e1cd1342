/** The images of one row of the fault table: what is in the cache, in which form, and what is not. */
import { encodeCachedName } from '../../registry/core/cached-name.ts';
import { digestOfTag, TAG } from './content.ts';

export interface HostileImage {
  readonly host: string;
  readonly repository: string;
  /** Tag or digest, with what goes before it in a reference. */
  readonly suffix: string;
}

/** `tag`: one manifest under a tag. `digest`: an index under its digest. `sparse`: an index, cached for the nodes' platforms only. */
export type CachedStates = Readonly<Record<'tag' | 'digest' | 'sparse', HostileImage>>;

/** @param fault first part of the repositories' names */
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

/** As a pod names it. */
export function reference({ host, repository, suffix }: HostileImage): string {
  return `${host}/${repository}${suffix}`;
}

/** As the node's runtime is asked for it. */
export function throughProxy({ host, repository, suffix }: HostileImage): string {
  return `localhost:7439/${encodeCachedName({ host, repository })}${suffix}`;
}

/** Where the proxy has its manifest. */
export function manifestPath({ host, repository, suffix }: HostileImage): string {
  return `/v2/${encodeCachedName({ host, repository })}/manifests/${suffix.slice(1)}`;
}
