/** Manifests for pulls: from the cache when that is as good as upstream, else from upstream. */
import type { CircuitBreaker } from '../../platform/circuit-breaker.ts';
import type { Logger } from '../../platform/log.ts';
import type { Digest } from '../../registry/core/digest.ts';
import { isOutage, toRegistryError } from '../../registry/core/errors.ts';
import type { StoredManifest } from '../../registry/client/manifests.ts';
import { SingleFlight } from '../download/single-flight.ts';
import type { ManifestStore } from '../store/content-store.ts';
import type { UpstreamRepositories } from '../upstream/upstream-repository.ts';
import type { Completion } from './completion.ts';
import type { PullPolicies } from './pull-policies.ts';
import type { PullTarget } from './pull-target.ts';
import type { FreshTags, RecentManifests } from './recent.ts';

export interface ManifestsOptions {
  readonly store: ManifestStore;
  readonly upstreams: UpstreamRepositories;
  /** Takes what came from upstream. */
  readonly completion: Completion;
  readonly recent: RecentManifests;
  readonly fresh: FreshTags;
  readonly policies: PullPolicies;
  /** Per upstream host. */
  readonly breaker: CircuitBreaker;
  /** How long upstream may take to say whether a cached tag has moved, in milliseconds. */
  readonly revalidateMs: number;
  /** Milliseconds of a clock that never jumps. */
  readonly now: () => number;
  readonly log: Logger;
  /** Ends what outlives a single request. */
  readonly signal: AbortSignal;
}

export class Manifests {
  readonly #options: ManifestsOptions;
  readonly #fetches = new SingleFlight<StoredManifest>();

  constructor(options: ManifestsOptions) {
    this.#options = options;
  }

  /** @throws RegistryError with upstream's meaning when it is not in the cache either */
  async byDigest(target: PullTarget, digest: Digest): Promise<StoredManifest> {
    return (await this.#cached(target, { digest })) ?? this.fetch(target, digest);
  }

  /**
   * From upstream, whether or not the store has it; one request for all who ask at the same time.
   * @throws RegistryError
   */
  async fetch(target: PullTarget, digest: Digest): Promise<StoredManifest> {
    return (
      this.#options.recent.get(target.repository, digest) ??
      this.#fetches.run(`${target.repository}@${digest}`, () => this.#fetch(target, { digest }))
    );
  }

  /** @throws RegistryError with upstream's meaning when it is not in the cache either */
  async byTag(target: PullTarget, tag: string): Promise<StoredManifest> {
    return this.#fetches.run(`${target.repository}:${tag}`, async () => {
      const freshForMs = this.#options.policies.freshForMs(target.cached);
      const fresh = await this.#fresh(target, tag, freshForMs);
      if (fresh !== undefined) return fresh;
      const cached = await this.#cached(target, { tag });
      if (cached === undefined) return this.#fetch(target, { tag });
      return freshForMs === Infinity ? cached : this.#revalidate(target, tag, cached);
    });
  }

  /**
   * The manifest that the tag named a moment ago; undefined when it cannot be had any more, from the store or
   * upstream.
   */
  async #fresh(target: PullTarget, tag: string, freshForMs: number): Promise<StoredManifest | undefined> {
    const digest = this.#options.fresh.get(target.repository, tag, freshForMs);
    if (digest === undefined) return undefined;
    return this.byDigest(target, digest).catch(() => undefined);
  }

  /**
   * The cached manifest is served whatever upstream answers, unless that is another digest and its manifest.
   */
  async #revalidate(target: PullTarget, tag: string, cached: StoredManifest): Promise<StoredManifest> {
    const { breaker, fresh, log, now, recent } = this.#options;
    const { host } = target.cached;
    if (breaker.request(host, now()) === 'deny') return cached;
    try {
      const digest = await this.#currentDigest(target, tag);
      breaker.succeeded(host);
      recent.set(target.repository, cached);
      if (digest !== cached.digest)
        return await this.#fetch(target, digest === undefined ? { tag } : { tag, digest });
      fresh.set(target.repository, tag, digest);
    } catch (thrown) {
      const error = toRegistryError(thrown);
      if (isOutage(error)) breaker.failed(host, now());
      else breaker.succeeded(host);
      log.warn('upstream does not confirm a cached tag', {
        repository: target.repository,
        tag,
        error: error.message,
      });
    }
    return cached;
  }

  async #currentDigest(target: PullTarget, tag: string): Promise<Digest | undefined> {
    const { revalidateMs, signal } = this.#options;
    const deadline = AbortSignal.any([signal, AbortSignal.timeout(revalidateMs)]);
    const upstream = await this.#options.upstreams.open(target.cached, tag, deadline);
    return upstream.headManifest({ tag }, deadline);
  }

  async #fetch(
    target: PullTarget,
    { tag, digest }: { tag?: string; digest?: Digest },
  ): Promise<StoredManifest> {
    const { completion, fresh, recent, signal } = this.#options;
    const upstream = await this.#options.upstreams.open(target.cached, tag, signal);
    const stored = await upstream.getManifest(digest === undefined ? { tag: tag ?? '' } : { digest }, signal);
    recent.set(target.repository, stored);
    if (tag !== undefined) fresh.set(target.repository, tag, stored.digest);
    completion.accept(target, { stored, ...(tag === undefined ? {} : { tag }) });
    return stored;
  }

  /** A store that cannot be asked counts as one that has nothing: upstream may still help. */
  async #cached(
    target: PullTarget,
    reference: { tag: string } | { digest: Digest },
  ): Promise<StoredManifest | undefined> {
    const { log, recent, signal, store } = this.#options;
    const remembered = 'digest' in reference ? recent.get(target.repository, reference.digest) : undefined;
    if (remembered !== undefined) return remembered;
    try {
      return await store.getManifest(target.repository, reference, signal);
    } catch (error) {
      log.warn('store cannot be asked for a manifest', { repository: target.repository, error });
      return undefined;
    }
  }
}
