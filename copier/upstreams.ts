/** Upstream repositories: reached as their settings say, with the credentials of whoever the image is cached for. */
import { firstOf } from '../registry/client/alternatives.ts';
import { getBlob, headBlob } from '../registry/client/blobs.ts';
import { getManifest, headManifest } from '../registry/client/manifests.ts';
import { RepositoryClient } from '../registry/client/repository-client.ts';
import type { CachedName } from '../registry/core/cached-name.ts';
import type { Credential } from '../registry/core/credentials.ts';
import type { Transport } from '../registry/transport/transport.ts';
import { endpointsOf, type UpstreamSettings } from '../registry/transport/upstream-settings.ts';
import type { UpstreamRepository } from './repositories.ts';
import { askUpstream, toUpstreamFailure } from './upstream-failure.ts';

export interface UpstreamsOptions {
  readonly transport: Transport;
  readonly settings: readonly UpstreamSettings[];
}

export class Upstreams {
  readonly #options: UpstreamsOptions;

  constructor(options: UpstreamsOptions) {
    this.#options = options;
  }

  /** @param credentials tried in turn; none: anonymously */
  repository({ host, repository }: CachedName, credentials: readonly Credential[]): UpstreamRepository {
    const { transport, settings } = this.#options;
    const clients = endpointsOf(settings, host).map(
      (endpoint) =>
        new RepositoryClient({
          transport,
          origin: endpoint.origin,
          repository,
          authenticator: transport.authenticator(endpoint, credentials),
        }),
    );
    const ask = <T>(attempt: (client: RepositoryClient) => Promise<T>): Promise<T> =>
      askUpstream(() => firstOf(clients, attempt));
    return {
      headManifest: async (reference, signal) =>
        (await ask((client) => headManifest(client, reference, { signal }))).digest,
      getManifest: (reference, signal) => ask((client) => getManifest(client, reference, { signal })),
      headBlob: (digest, signal) => ask((client) => headBlob(client, digest, signal)),
      blob: (digest) => ({
        open: async (offset, signal) => {
          const opened = await ask((client) => getBlob(client, digest, { signal, offset }));
          return { ...opened, toError: (error) => toUpstreamFailure(opened.toError(error)) };
        },
      }),
    };
  }
}
