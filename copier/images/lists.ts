/** The tags of a repository and referrers of a manifest: upstream's list, or else the cache's. */
import type { Digest } from '../../registry/core/digest.ts';
import type { ReferrerJson } from '../../registry/client/listing.ts';
import type { Logger } from '../../platform/log.ts';
import { UpstreamFailure } from '../upstream/upstream-failure.ts';
import type { UpstreamRepository } from '../upstream/upstream-repository.ts';
import type { Upstreams } from '../upstream/upstreams.ts';
import type { PullTarget } from './pull-target.ts';

export interface ListsOptions {
  readonly store: {
    tags(repository: string, signal: AbortSignal): Promise<readonly string[]>;
    referrers(repository: string, digest: Digest, signal: AbortSignal): Promise<readonly ReferrerJson[]>;
  };
  readonly upstreams: Upstreams;
  readonly log: Logger;
}

/** Our own tags, which keep images that were copied by digest. */
const ANCHOR = /^larder-sha(256|512)-/;

export class Lists {
  readonly #options: ListsOptions;

  constructor(options: ListsOptions) {
    this.#options = options;
  }

  /** @throws RegistryError with upstream's meaning when the cache has none either */
  async tags(target: PullTarget, signal: AbortSignal): Promise<readonly string[]> {
    const { store } = this.#options;
    return this.#list(
      target,
      signal,
      (upstream) => upstream.tags(signal),
      async () => (await store.tags(target.storeRepository, signal)).filter((tag) => !ANCHOR.test(tag)),
    );
  }

  /** @throws RegistryError with upstream's meaning when the cache has none either */
  async referrers(target: PullTarget, digest: Digest, signal: AbortSignal): Promise<readonly ReferrerJson[]> {
    const { store } = this.#options;
    return this.#list(
      target,
      signal,
      (upstream) => upstream.referrers(digest, signal),
      () => store.referrers(target.storeRepository, digest, signal),
    );
  }

  async #list<T>(
    target: PullTarget,
    signal: AbortSignal,
    ask: (upstream: UpstreamRepository) => Promise<readonly T[]>,
    fromCache: () => Promise<readonly T[]>,
  ): Promise<readonly T[]> {
    try {
      return await ask(await this.#options.upstreams.open(target.cached, undefined, signal));
    } catch (error) {
      if (!(error instanceof UpstreamFailure)) throw error;
      const cached = await fromCache().catch(() => []);
      if (cached.length === 0) throw error;
      const repository = target.storeRepository;
      this.#options.log.warn('upstream gives no list', { repository, error: error.message });
      return cached;
    }
  }
}
