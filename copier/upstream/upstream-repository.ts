/** One repository at its registry: asked with a login that is renewed when the registry refuses it. */
import { firstOf } from '../../registry/client/alternatives.ts';
import { getBlob, headBlob } from '../../registry/client/blobs.ts';
import { allTags, listReferrers, type ReferrerJson } from '../../registry/client/listing.ts';
import { getManifest, headManifest, type VerifiedManifest } from '../../registry/client/manifests.ts';
import type { RepositoryClient } from '../../registry/client/repository-client.ts';
import type { Digest } from '../../registry/core/digest.ts';
import type { ManifestReference } from '../../registry/core/distribution-path.ts';
import { toRegistryError } from '../../registry/core/errors.ts';
import type { BlobSource } from '../download/download.ts';
import type { HostLimiter } from './host-limiter.ts';
import type { Login } from './keyring.ts';
import type { Outages } from './outages.ts';
import { askUpstream, toUpstreamFailure } from './upstream-failure.ts';

export interface UpstreamRepositoryOptions {
  readonly host: string;
  readonly login: Login;
  /** Clients for the registry's endpoints with a login, in the order in which they are tried. */
  readonly clientsFor: (login: Login) => readonly RepositoryClient[];
  readonly limiter: HostLimiter;
  readonly outages: Outages;
}

type Attempt<T> = (client: RepositoryClient) => Promise<T>;

/** All methods throw RegistryError. */
export class UpstreamRepository {
  readonly #options: UpstreamRepositoryOptions;
  #login: Login;
  #clients: readonly RepositoryClient[];

  constructor(options: UpstreamRepositoryOptions) {
    this.#options = options;
    this.#login = options.login;
    this.#clients = options.clientsFor(options.login);
  }

  /**
   * The digest that a tag has now. A failure does not count as an outage: checks of tags have a short
   * deadline, which a registry may miss that is only slow.
   * @returns undefined when the registry does not say without sending the manifest
   */
  async headManifest(reference: ManifestReference, signal: AbortSignal): Promise<Digest | undefined> {
    const ask: Attempt<{ digest?: Digest | undefined }> = (client) =>
      headManifest(client, reference, { signal });
    return (await askUpstream(() => this.#ask(ask, signal))).digest;
  }

  /** Verified against the digest asked for, or else the one that the registry claims. */
  async getManifest(reference: ManifestReference, signal: AbortSignal): Promise<VerifiedManifest> {
    return this.#fetch((client) => getManifest(client, reference, { signal }), signal);
  }

  /** @returns undefined when the repository does not have it */
  async headBlob(
    digest: Digest,
    signal: AbortSignal,
  ): Promise<{ readonly size: number | undefined } | undefined> {
    return this.#fetch((client) => headBlob(client, digest, signal), signal);
  }

  async tags(signal: AbortSignal): Promise<readonly string[]> {
    return this.#fetch((client) => allTags(client, signal), signal);
  }

  /** Empty when nothing refers to it. */
  async referrers(digest: Digest, signal: AbortSignal): Promise<readonly ReferrerJson[]> {
    return this.#fetch((client) => listReferrers(client, digest, signal), signal);
  }

  /** Opening waits while as many blobs of this registry are being transferred as are allowed. */
  blob(digest: Digest): BlobSource {
    const { host, limiter } = this.#options;
    return {
      open: async (offset, signal) => {
        const release = await limiter.acquire(host, signal);
        try {
          const opened = await this.#fetch((client) => getBlob(client, digest, { signal, offset }), signal);
          opened.body.once('close', release);
          return { ...opened, toError: (error) => toUpstreamFailure(opened.toError(error)) };
        } catch (error) {
          release();
          throw error;
        }
      },
    };
  }

  /** Asks for content, unless the registry is known to be down. */
  async #fetch<T>(attempt: Attempt<T>, signal: AbortSignal): Promise<T> {
    const { host, outages } = this.#options;
    return askUpstream(() => outages.unlessDown(host, () => this.#ask(attempt, signal)));
  }

  /** After a refusal it asks once more if the secrets have changed, so that a rotated one works at once. */
  async #ask<T>(attempt: Attempt<T>, signal: AbortSignal): Promise<T> {
    try {
      return await firstOf(this.#clients, attempt);
    } catch (error) {
      const renewed = isRefusal(error) ? await this.#login.renew(signal) : undefined;
      if (renewed === undefined) throw error;
      this.#login = renewed;
      this.#clients = this.#options.clientsFor(renewed);
      return await firstOf(this.#clients, attempt);
    }
  }
}

/** Whether other credentials may help: some registries answer "not found" for what the caller may not read. */
function isRefusal(error: unknown): boolean {
  return ['Unauthorized', 'Forbidden', 'NotFound'].includes(toRegistryError(error).reason);
}
