/** The upstream registry itself, anonymously: the last resort of public images. */
import { Readable } from 'node:stream';
import { firstOf } from '../../registry/client/alternatives.ts';
import { getBlob, headBlob } from '../../registry/client/blobs.ts';
import { getManifest, headManifest } from '../../registry/client/manifests.ts';
import { RepositoryClient } from '../../registry/client/repository-client.ts';
import { verified, withTypedErrors } from '../../registry/client/verified.ts';
import type { Digest } from '../../registry/core/digest.ts';
import type { ManifestReference } from '../../registry/core/distribution-path.ts';
import { isOutage, RegistryError, toRegistryError } from '../../registry/core/errors.ts';
import type { Transport } from '../../registry/transport/transport.ts';
import {
  endpointsOf,
  type UpstreamSettingsSource,
} from '../../registry/transport/settings/upstream-settings.ts';
import type { Answer, Exchange, Origin } from '../transfer/response.ts';
import type { Failure } from './plan.ts';

export class UpstreamOrigin implements Origin {
  readonly #transport: Transport;
  readonly #settings: UpstreamSettingsSource;

  constructor(transport: Transport, settings: UpstreamSettingsSource) {
    this.#transport = transport;
    this.#settings = settings;
  }

  async ask(exchange: Exchange): Promise<Answer | Failure> {
    const { path } = exchange;
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
      return await firstOf(clients, (client) => answerFrom(client, exchange));
    } catch (thrown) {
      const error = toRegistryError(thrown);
      return { origin: 'upstream', verdict: isOutage(error) ? 'down' : 'refused', error };
    }
  }
}

async function answerFrom(client: RepositoryClient, { path, request, signal }: Exchange): Promise<Answer> {
  const head = request.method === 'HEAD';
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
): Promise<Answer> {
  const { digest, mediaType, size } = await headManifest(client, reference, { signal });
  return answer({ 'content-type': mediaType, 'content-length': size, 'docker-content-digest': digest });
}

async function manifest(
  client: RepositoryClient,
  reference: ManifestReference,
  signal: AbortSignal,
): Promise<Answer> {
  const { bytes, digest, manifest: parsed } = await getManifest(client, reference, { signal });
  const headers = {
    'content-type': parsed.mediaType,
    'content-length': bytes.byteLength,
    'docker-content-digest': digest,
  };
  return answer(headers, Readable.from([bytes]));
}

async function blobHead(client: RepositoryClient, digest: Digest, signal: AbortSignal): Promise<Answer> {
  const found = await headBlob(client, digest, signal);
  if (found === undefined) {
    throw new RegistryError(`blob ${digest} is not in the repository`, {
      reason: 'NotFound',
      code: 'BLOB_UNKNOWN',
    });
  }
  return answer({ 'content-length': found.size, 'docker-content-digest': digest });
}

/** Always whole: a client may not rely on ranges (RFC 9110 section 14.2), and what is verified has to be seen whole. */
async function blob(client: RepositoryClient, digest: Digest, signal: AbortSignal): Promise<Answer> {
  const { size, body, toError } = await getBlob(client, digest, { signal });
  const chunks = withTypedErrors(body as AsyncIterable<Uint8Array>, toError);
  return answer(
    { 'content-length': size, 'docker-content-digest': digest },
    Readable.from(verified(chunks, { digest, size }), { objectMode: false }),
  );
}

function answer(
  headers: Readonly<Record<string, string | number | undefined>>,
  body: Readable = Readable.from([]),
): Answer {
  return { status: 200, headers: { 'content-type': 'application/octet-stream', ...headers }, body };
}
