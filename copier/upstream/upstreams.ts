/**
 * Upstream repositories: reached as their settings say, with the credentials of the namespace that the image
 * is cached for.
 */
import { RepositoryClient } from '../../registry/client/repository-client.ts';
import type { CachedName } from '../../registry/core/cached-name.ts';
import type { Pace } from '../../registry/transport/pace.ts';
import type { Transport } from '../../registry/transport/transport.ts';
import {
  endpointsOf,
  type UpstreamSettingsSource,
} from '../../registry/transport/settings/upstream-settings.ts';
import type { HostLimiter } from './host-limiter.ts';
import type { Keyring, Login } from './keyring.ts';
import type { Outages } from './outages.ts';
import { UpstreamRepository } from './upstream-repository.ts';

export interface UpstreamsOptions {
  readonly transport: Transport;
  readonly upstreamSettings: UpstreamSettingsSource;
  readonly keyring: Pick<Keyring, 'login'>;
  readonly pace: Pace;
  /** Of transfers of blobs, by the registry's host. */
  readonly limiter: HostLimiter;
  readonly outages: Outages;
}

export class Upstreams {
  readonly #options: UpstreamsOptions;

  constructor(options: UpstreamsOptions) {
    this.#options = options;
  }

  /**
   * The repository that a cached name stands for. Finds the credentials; asks no registry yet.
   * @param reference tag or digest that will be asked for, when it is one image
   */
  async open(
    name: CachedName,
    reference: string | undefined,
    signal: AbortSignal,
  ): Promise<UpstreamRepository> {
    const { keyring, limiter, outages } = this.#options;
    return new UpstreamRepository({
      host: name.host,
      login: await keyring.login(name, reference, signal),
      clientsFor: (login) => this.#clients(name, login),
      limiter,
      outages,
    });
  }

  #clients({ host, repository }: CachedName, login: Login): RepositoryClient[] {
    const { transport, upstreamSettings, pace } = this.#options;
    return endpointsOf(upstreamSettings.get(), host).map((endpoint) => {
      const credentials = login.credentials(endpoint.credentialHost);
      const authenticator = transport.authenticator(endpoint, credentials);
      const { origin } = endpoint;
      const lane = pace.lane(new URL(origin).host, credentials.map(({ username }) => username).join(' '));
      return new RepositoryClient({ transport, origin, repository, authenticator, lane });
    });
  }
}
