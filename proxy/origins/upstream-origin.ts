/** The upstream registry itself, asked anonymously: the last resort for public images. */
import { Readable } from 'node:stream';
import { firstOf } from '../../registry/client/alternatives.ts';
import { getBlob, headBlob } from '../../registry/client/blobs.ts';
import { getManifest, headManifest } from '../../registry/client/manifests.ts';
import { RepositoryClient } from '../../registry/client/repository-client.ts';
import { verified, withTypedErrors } from '../../registry/client/verified.ts';
import type { Digest } from '../../registry/core/digest.ts';
import type { ManifestReference } from '../../registry/core/distribution-path.ts';
import { isOutage, RegistryError, toRegistryError } from '../../registry/core/errors.ts';
import { upstreamPolicies } from '../../registry/transport/http/connection-policy.ts';
import { createConnections } from '../../registry/transport/http/connector.ts';
import type { OutboundProxies } from '../../registry/transport/http/outbound-proxy.ts';
import {
  endpointsOf,
  type UpstreamSettingsSource,
} from '../../registry/transport/settings/upstream-settings.ts';
import { Transport } from '../../registry/transport/transport.ts';
import type { OriginResponse } from '../transfer/response.ts';
import type { Origin, Pull } from './origin.ts';
import type { Failure } from './plan.ts';

export interface UpstreamOriginOptions {
  readonly upstreams: UpstreamSettingsSource;
  /** HTTP proxies of the site. */
  readonly proxies: OutboundProxies;
  /** For the head of a response, in milliseconds. */
  readonly headMs: number;
  /** How long a body may bring nothing, in milliseconds. */
  readonly silenceMs: number;
}

const CONNECT_MS = 5_000;

export function upstreamOrigin({ upstreams, proxies, ...deadlines }: UpstreamOriginOptions): UpstreamOrigin {
  const connections = createConnections(upstreamPolicies(upstreams), { connectMs: CONNECT_MS, proxies });
  return new UpstreamOrigin(new Transport(connections, deadlines), upstreams);
}

export class UpstreamOrigin implements Origin {
  readonly #transport: Transport;
  readonly #settings: UpstreamSettingsSource;

  constructor(transport: Transport, settings: UpstreamSettingsSource) {
    this.#transport = transport;
    this.#settings = settings;
  }

  async ask(pull: Pull): Promise<OriginResponse | Failure> {
    const { path } = pull;
    try {
      const { host, repository } = path.cached;
      const clients = endpointsOf(this.#settings.get(), host).map(
        (endpoint) =>
          new RepositoryClient({
            transport: this.#transport,
            origin: endpoint.origin,
            repository,
            authenticator: this.#transport.authenticator(endpoint),
          }),
      );
      return await firstOf(clients, (client) => responseFrom(client, pull));
    } catch (thrown) {
      const error = toRegistryError(thrown);
      return { origin: 'upstream', verdict: isOutage(error) ? 'down' : 'refused', error };
    }
  }
}

async function responseFrom(
  client: RepositoryClient,
  { path, method, signal }: Pull,
): Promise<OriginResponse> {
  const head = method === 'HEAD';
  switch (path.kind) {
    case 'manifest':
      return head ? manifestHead(client, path.reference, signal) : manifest(client, path.reference, signal);
    case 'blob':
      return head ? blobHead(client, path.digest, signal) : blob(client, path.digest, signal);
    case 'tags':
    case 'referrers':
      throw new RegistryError('lists are served by the copier only', {
        reason: 'NotFound',
        code: 'UNSUPPORTED',
      });
  }
}

async function manifestHead(
  client: RepositoryClient,
  reference: ManifestReference,
  signal: AbortSignal,
): Promise<OriginResponse> {
  const { digest, mediaType, size } = await headManifest(client, reference, { signal });
  return contentOf({ 'content-type': mediaType, 'content-length': size, 'docker-content-digest': digest });
}

async function manifest(
  client: RepositoryClient,
  reference: ManifestReference,
  signal: AbortSignal,
): Promise<OriginResponse> {
  const { bytes, digest, manifest: parsed } = await getManifest(client, reference, { signal });
  const headers = {
    'content-type': parsed.mediaType,
    'content-length': bytes.byteLength,
    'docker-content-digest': digest,
  };
  return contentOf(headers, Readable.from([bytes]));
}

async function blobHead(
  client: RepositoryClient,
  digest: Digest,
  signal: AbortSignal,
): Promise<OriginResponse> {
  const found = await headBlob(client, digest, signal);
  if (found === undefined) {
    throw new RegistryError(`blob ${digest} is not in the repository`, {
      reason: 'NotFound',
      code: 'BLOB_UNKNOWN',
    });
  }
  return contentOf({ 'content-length': found.size, 'docker-content-digest': digest });
}

/**
 * Always whole: a server may ignore ranges (RFC 9110 section 14.2), and a digest can only be verified over
 * all bytes.
 */
async function blob(client: RepositoryClient, digest: Digest, signal: AbortSignal): Promise<OriginResponse> {
  const { size, body, toError } = await getBlob(client, digest, { signal });
  const chunks = withTypedErrors(body as AsyncIterable<Uint8Array>, toError);
  return contentOf(
    { 'content-length': size, 'docker-content-digest': digest },
    Readable.from(verified(chunks, { digest, size }), { objectMode: false }),
  );
}

function contentOf(
  headers: Readonly<Record<string, string | number | undefined>>,
  body: Readable = Readable.from([]),
): OriginResponse {
  return { status: 200, headers: { 'content-type': 'application/octet-stream', ...headers }, body };
}
