/** Manifests for pulls: from the cache when that is as good as upstream, else from upstream. */
import type { CircuitBreaker } from '../../platform/circuit-breaker.ts';
import type { Logger } from '../../platform/log.ts';
import type { Digest } from '../../registry/core/digest.ts';
import { isOutage, toRegistryError } from '../../registry/core/errors.ts';
import type { VerifiedManifest } from '../../registry/client/manifests.ts';
import { SingleFlight } from '../../platform/single-flight.ts';
import type { ManifestStore } from '../store/content-store.ts';
import type { Upstreams } from '../upstream/upstreams.ts';
import type { Completion } from './completion.ts';
import type { PullPolicies } from './pull-policies.ts';
import type { PullTarget } from './pull-target.ts';
import type { FreshTags, RecentManifests } from './recent.ts';

export interface ManifestsOptions {
  readonly store: ManifestStore;
  readonly upstreams: Upstreams;
  /** Takes what came from upstream. */
  readonly completion: Completion;
  readonly recent: RecentManifests;
  readonly freshTags: FreshTags;
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
  readonly #singleFlight = new SingleFlight<VerifiedManifest>();

  constructor(options: ManifestsOptions) {
    this.#options = options;
  }

  /** @throws RegistryError with upstream's meaning when it is not in the cache either */
  async byDigest(target: PullTarget, digest: Digest): Promise<VerifiedManifest> {
    return (await this.#cached(target, { digest })) ?? this.fetchByDigest(target, digest);
  }

  /**
   * From memory or upstream, whether or not the store has it; one request for all who ask at the same time.
   * @throws RegistryError
   */
  async fetchByDigest(target: PullTarget, digest: Digest): Promise<VerifiedManifest> {
    return (
      this.#options.recent.get(target.storeRepository, digest) ??
      this.#singleFlight.run(`${target.storeRepository}@${digest}`, () =>
        this.#fetchFromUpstream(target, { digest }),
      )
    );
  }

  /** @throws RegistryError with upstream's meaning when it is not in the cache either */
  async byTag(target: PullTarget, tag: string): Promise<VerifiedManifest> {
    return this.#singleFlight.run(`${target.storeRepository}:${tag}`, async () => {
      const freshForMs = this.#options.policies.freshForMs(target.cached);
      const fresh = await this.#ifFresh(target, tag, freshForMs);
      if (fresh !== undefined) return fresh;
      const cached = await this.#cached(target, { tag });
      if (cached === undefined) return this.#fetchFromUpstream(target, { tag });
      return freshForMs === Infinity ? cached : this.#revalidate(target, tag, cached);
    });
  }

  /**
   * The manifest that the tag named a moment ago; undefined when it cannot be had any more, from the store or
   * upstream.
   */
  async #ifFresh(target: PullTarget, tag: string, freshForMs: number): Promise<VerifiedManifest | undefined> {
    const digest = this.#options.freshTags.get(target.storeRepository, tag, freshForMs);
    if (digest === undefined) return undefined;
    return this.byDigest(target, digest).catch(() => undefined);
  }

  /**
   * The cached manifest is served whatever upstream answers, unless that is another digest and its manifest.
   */
  async #revalidate(target: PullTarget, tag: string, cached: VerifiedManifest): Promise<VerifiedManifest> {
    const { breaker, freshTags, log, now, recent } = this.#options;
    const { host } = target.cached;
    if (breaker.request(host, now()) === 'deny') return cached;
    try {
      const digest = await this.#currentDigest(target, tag);
      breaker.succeeded(host);
      // Upstream has answered for this repository: blobs of others may be linked on the manifest's word.
      recent.set(target.storeRepository, cached);
      if (digest !== cached.digest)
        return await this.#fetchFromUpstream(target, digest === undefined ? { tag } : { tag, digest });
      freshTags.set(target.storeRepository, tag, digest);
    } catch (thrown) {
      const error = toRegistryError(thrown);
      if (isOutage(error)) breaker.failed(host, now());
      else breaker.succeeded(host);
      log.warn('upstream does not confirm a cached tag', {
        repository: target.storeRepository,
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

  async #fetchFromUpstream(
    target: PullTarget,
    { tag, digest }: { tag?: string; digest?: Digest },
  ): Promise<VerifiedManifest> {
    const { completion, freshTags, recent, signal } = this.#options;
    const upstream = await this.#options.upstreams.open(target.cached, tag, signal);
    const reference = digest === undefined ? { tag: tag ?? '' } : { digest };
    const fetched = await upstream.getManifest(reference, signal);
    recent.set(target.storeRepository, fetched);
    if (tag !== undefined) freshTags.set(target.storeRepository, tag, fetched.digest);
    completion.storeInBackground(target, fetched, tag);
    return fetched;
  }

  /** A store that cannot be asked counts as one that has nothing: upstream may still help. */
  async #cached(
    target: PullTarget,
    reference: { tag: string } | { digest: Digest },
  ): Promise<VerifiedManifest | undefined> {
    const { log, recent, signal, store } = this.#options;
    const remembered =
      'digest' in reference ? recent.get(target.storeRepository, reference.digest) : undefined;
    if (remembered !== undefined) return remembered;
    try {
      return await store.getManifest(target.storeRepository, reference, signal);
    } catch (error) {
      log.warn('store cannot be asked for a manifest', { repository: target.storeRepository, error });
      return undefined;
    }
  }
}
