/**
 * Pushing blobs (OCI distribution 1.1, "Pushing blobs"): by a mount, in one PUT when the size is known, else
 * in chunks.
 */
import type { Digest } from '../core/digest.ts';
import { RegistryError } from '../core/errors.ts';
import { drain } from '../transport/http/body.ts';
import type { HttpResponse } from '../transport/http/messages.ts';
import type { RepositoryClient } from './repository-client.ts';

export interface BlobUpload {
  readonly digest: Digest;
  /** Bytes; undefined when it is not known in advance. */
  readonly size: number | undefined;
  /** Holds its last byte back until it has verified all of them, so that nobody needs to hash it again. */
  readonly body: AsyncIterable<Uint8Array>;
  readonly signal: AbortSignal;
}

/**
 * Commits nothing when `body` throws.
 * @throws RegistryError with what the registry answers, or what `body` throws
 */
export async function uploadBlob(
  client: RepositoryClient,
  { digest, size, body, signal }: BlobUpload,
): Promise<void> {
  const chunks = passOn(body);
  let location: URL | undefined;
  try {
    location = await beginUpload(client, signal);
    if (size === undefined) {
      location = await sendChunk(client, location, chunks, signal);
      await commit(client, location, digest, { signal });
    } else {
      await commit(client, location, digest, { signal, body: chunks, size });
    }
  } catch (error) {
    await chunks.return(undefined);
    if (location !== undefined) await cancelUpload(client, location);
    throw error;
  }
}

/** Makes a generator of it, which can be ended whether or not the request has begun to read it. */
async function* passOn(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  yield* body;
}

export type Mount = { readonly mounted: true } | { readonly mounted: false; readonly location: URL };

/**
 * Mounts a blob from another repository of the same registry. The login must be able to read that repository.
 * @returns the upload that the registry has begun instead, when it does not mount the blob; to be cancelled
 */
export async function mountBlob(
  client: RepositoryClient,
  digest: Digest,
  from: string,
  signal: AbortSignal,
): Promise<Mount> {
  const url = uploadsUrl(client);
  url.searchParams.set('mount', digest);
  url.searchParams.set('from', from);
  const response = await client.send({
    method: 'POST',
    url,
    headers: { 'content-length': '0' },
    actions: ['pull', 'push'],
    readFrom: from,
    accept: [201, 202],
    signal,
  });
  drain(response);
  return response.status === 201
    ? { mounted: true }
    : { mounted: false, location: locationOf(client, response) };
}

async function beginUpload(client: RepositoryClient, signal: AbortSignal): Promise<URL> {
  const response = await client.send({
    method: 'POST',
    url: uploadsUrl(client),
    headers: { 'content-length': '0' },
    actions: ['pull', 'push'],
    accept: [202],
    signal,
  });
  drain(response);
  return locationOf(client, response);
}

async function sendChunk(
  client: RepositoryClient,
  location: URL,
  body: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
): Promise<URL> {
  const response = await client.send({
    method: 'PATCH',
    url: location,
    headers: { 'content-type': 'application/octet-stream' },
    body,
    actions: ['pull', 'push'],
    accept: [202],
    signal,
  });
  drain(response);
  return locationOf(client, response);
}

interface CommitOptions {
  readonly signal: AbortSignal;
  readonly body?: AsyncIterable<Uint8Array>;
  readonly size?: number;
}

async function commit(
  client: RepositoryClient,
  location: URL,
  digest: Digest,
  { signal, body, size = 0 }: CommitOptions,
): Promise<void> {
  const url = new URL(location);
  url.searchParams.set('digest', digest);
  const response = await client.send({
    method: 'PUT',
    url,
    headers: { 'content-type': 'application/octet-stream', 'content-length': String(size) },
    ...(body === undefined || size === 0 ? {} : { body }),
    actions: ['pull', 'push'],
    accept: [201],
    signal,
  });
  drain(response);
}

/**
 * Best effort: registries drop stale uploads themselves. Ignores the upload's signal, which may have been
 * aborted.
 */
export async function cancelUpload(client: RepositoryClient, location: URL): Promise<void> {
  await client
    .send({
      method: 'DELETE',
      url: location,
      // Distribution wants the right to delete for it.
      actions: ['pull', 'push', 'delete'],
      accept: [200, 202, 204, 404],
      signal: AbortSignal.timeout(CANCEL_MS),
    })
    .then(drain, () => undefined);
}

const CANCEL_MS = 2000;

function uploadsUrl(client: RepositoryClient): URL {
  return new URL(`/v2/${client.repository}/blobs/uploads/`, client.origin);
}

/** An upload has to go on at the host where it began, since it carries our credentials. */
function locationOf(client: RepositoryClient, response: HttpResponse): URL {
  const location = response.header('location') ?? '';
  const base = client.origin;
  if (location !== '' && URL.canParse(location, base)) {
    const url = new URL(location, base);
    if (url.host === new URL(base).host) return new URL(url.pathname + url.search, base);
  }
  throw new RegistryError(`${new URL(base).host} does not say where the upload goes on`, {
    reason: 'UpstreamError',
  });
}
