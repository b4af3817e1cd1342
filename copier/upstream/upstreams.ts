/**
 * Upstream repositories: reached as their settings say, with the credentials of the namespace that the image
 * is cached for.
 */
import { firstOf } from '../../registry/client/alternatives.ts';
import { getBlob, headBlob } from '../../registry/client/blobs.ts';
import { allTags, listReferrers } from '../../registry/client/listing.ts';
import { getManifest, headManifest } from '../../registry/client/manifests.ts';
import { RepositoryClient } from '../../registry/client/repository-client.ts';
import type { CachedName } from '../../registry/core/cached-name.ts';
import { toRegistryError } from '../../registry/core/errors.ts';
import type { Pace } from '../../registry/transport/pace.ts';
import type { Transport } from '../../registry/transport/transport.ts';
import {
  endpointsOf,
  type UpstreamSettingsSource,
} from '../../registry/transport/settings/upstream-settings.ts';
import type { HostLimiter } from './host-limiter.ts';
import type { Keyring, Login } from './keyring.ts';
import type { Outages } from './outages.ts';
import type { UpstreamRepositories, UpstreamRepository } from './upstream-repository.ts';
import { askUpstream, toUpstreamFailure } from './upstream-failure.ts';

export interface UpstreamsOptions {
  readonly transport: Transport;
  readonly settings: UpstreamSettingsSource;
  readonly keyring: Pick<Keyring, 'login'>;
  readonly pace: Pace;
  /** Of transfers of blobs, by the registry's host. */
  readonly limiter: HostLimiter;
  readonly outages: Outages;
}

export class Upstreams implements UpstreamRepositories {
  readonly #options: UpstreamsOptions;

  constructor(options: UpstreamsOptions) {
    this.#options = options;
  }

  async open(
    name: CachedName,
    reference: string | undefined,
    signal: AbortSignal,
  ): Promise<UpstreamRepository> {
    return this.#repository(name, await this.#options.keyring.login(name, reference, signal));
  }

  /** @param first the login to begin with; a refusal renews it, so that a rotated secret works at once */
  #repository(name: CachedName, first: Login): UpstreamRepository {
    const { limiter, outages } = this.#options;
    let login = first;
    let clients = this.#clients(name, login);
    const ask = <T>(attempt: (client: RepositoryClient) => Promise<T>, signal: AbortSignal): Promise<T> =>
      askUpstream(async () => {
        try {
          return await firstOf(clients, attempt);
        } catch (error) {
          const renewed = isRefusal(error) ? await login.renew(signal) : undefined;
          if (renewed === undefined) throw error;
          login = renewed;
          clients = this.#clients(name, login);
          return await firstOf(clients, attempt);
        }
      });
    /**
     * For content. The check of a tag has a short deadline of its own: that it passes does not mean that the
     * registry is down.
     */
    const fetch = <T>(attempt: (client: RepositoryClient) => Promise<T>, signal: AbortSignal): Promise<T> =>
      askUpstream(() => outages.unlessDown(name.host, () => ask(attempt, signal)));
    return {
      headManifest: async (reference, signal) =>
        (await ask((client) => headManifest(client, reference, { signal }), signal)).digest,
      getManifest: (reference, signal) =>
        fetch((client) => getManifest(client, reference, { signal }), signal),
      headBlob: (digest, signal) => fetch((client) => headBlob(client, digest, signal), signal),
      tags: (signal) => fetch((client) => allTags(client, signal), signal),
      referrers: (digest, signal) => fetch((client) => listReferrers(client, digest, signal), signal),
      blob: (digest) => ({
        open: async (offset, signal) => {
          const release = await limiter.acquire(name.host, signal);
          const opened = await fetch((client) => getBlob(client, digest, { signal, offset }), signal).catch(
            (error: unknown) => {
              release();
              throw error;
            },
          );
          opened.body.once('close', release);
          return { ...opened, toError: (error) => toUpstreamFailure(opened.toError(error)) };
        },
      }),
    };
  }

  #clients({ host, repository }: CachedName, login: Login): RepositoryClient[] {
    const { transport, settings, pace } = this.#options;
    return endpointsOf(settings.get(), host).map((endpoint) => {
      const credentials = login.credentials(endpoint.credentialHost);
      const authenticator = transport.authenticator(endpoint, credentials);
      const { origin } = endpoint;
      const lane = pace.lane(new URL(origin).host, credentials.map(({ username }) => username).join(' '));
      return new RepositoryClient({ transport, origin, repository, authenticator, lane });
    });
  }
}

/**
 * Whether other credentials may help: some registries answer "not found" for what the caller may not read.
 */
function isRefusal(error: unknown): boolean {
  return ['Unauthorized', 'Forbidden', 'NotFound'].includes(toRegistryError(error).reason);
}
