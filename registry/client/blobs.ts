/** Reading the blobs of a repository: as streams from any offset, or whole and verified. */
import { Readable } from 'node:stream';
import type { Digest } from '../core/digest.ts';
import { RegistryError } from '../core/errors.ts';
import { formatRange, parseContentRange } from '../core/range.ts';
import { abandon, drain } from '../transport/http/body.ts';
import type { HttpResponse } from '../transport/http/messages.ts';
import { networkError } from '../transport/http/http-error.ts';
import type { RepositoryClient } from './repository-client.ts';
import { verified, withTypedErrors } from './verified.ts';

export interface OpenedBlob {
  /** Size of the whole blob in bytes; undefined when the registry does not say. */
  readonly size: number | undefined;
  /** The bytes from the offset on, not verified. Has to be read to its end or destroyed. */
  readonly body: Readable;
  /** For errors of `body`, which are the network's own. */
  readonly toError: (error: unknown) => RegistryError;
}

export interface BlobOptions {
  readonly signal: AbortSignal;
  /**
   * The first byte wanted. Default 0. When a registry ignores ranges and sends all, the bytes before it are
   * dropped.
   */
  readonly offset?: number | undefined;
}

/** @returns undefined when the repository does not hold it; @throws RegistryError */
export async function headBlob(
  client: RepositoryClient,
  digest: Digest,
  signal: AbortSignal,
): Promise<{ readonly size: number | undefined } | undefined> {
  const response = await client.send({
    method: 'HEAD',
    url: client.url({ kind: 'blob', digest }),
    actions: ['pull'],
    accept: [200, 404],
    signal,
  });
  drain(response);
  return response.status === 404 ? undefined : { size: lengthOf(response) };
}

/** @throws RegistryError, of code `BLOB_UNKNOWN` when the repository does not hold it */
export async function getBlob(
  client: RepositoryClient,
  digest: Digest,
  options: BlobOptions,
): Promise<OpenedBlob> {
  const { signal, offset = 0 } = options;
  const response = await client
    .send({
      method: 'GET',
      url: client.url({ kind: 'blob', digest }),
      headers: offset === 0 ? {} : { range: formatRange(offset) },
      actions: ['pull'],
      accept: offset === 0 ? [200] : [200, 206],
      bulk: true,
      signal,
    })
    .catch((error: unknown) => {
      throw asBlobUnknown(error, digest);
    });
  const { url } = response;
  const toError = (error: unknown): RegistryError => networkError(error, url);
  if (response.status === 206) return { size: rangeStart(response, offset), body: response.body, toError };
  const body =
    offset === 0 ? response.body : Readable.from(dropFirst(response.body, offset), { objectMode: false });
  return { size: lengthOf(response), body, toError };
}

/**
 * The whole blob as a stream that fails before its last chunk when its bytes are not those of the digest.
 * @throws RegistryError
 */
export async function* getVerifiedBlob(
  client: RepositoryClient,
  blob: { readonly digest: Digest; readonly size?: number },
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  const { body, toError } = await getBlob(client, blob.digest, { signal });
  yield* verified(withTypedErrors(body as AsyncIterable<Uint8Array>, toError), {
    digest: blob.digest,
    size: blob.size,
  });
}

/** The whole blob in memory, verified: for small blobs, such as configs. @throws RegistryError */
export async function readBlob(
  client: RepositoryClient,
  blob: { readonly digest: Digest; readonly size: number },
  signal: AbortSignal,
): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of getVerifiedBlob(client, blob, signal)) chunks.push(chunk);
  return Buffer.concat(chunks);
}

function lengthOf(response: HttpResponse): number | undefined {
  const length = response.header('content-length') ?? '';
  return /^[0-9]{1,15}$/.test(length) ? Number(length) : undefined;
}

/** @throws RegistryError when the registry sends another range than the one asked for */
function rangeStart(response: HttpResponse, offset: number): number | undefined {
  const range = parseContentRange(response.header('content-range') ?? '');
  if (range?.start === offset) return range.size;
  abandon(response);
  throw new RegistryError(`${response.url.host} answered with another range than the one asked for`, {
    reason: 'UpstreamError',
  });
}

async function* dropFirst(body: AsyncIterable<Uint8Array>, bytes: number): AsyncGenerator<Uint8Array> {
  let left = bytes;
  for await (const chunk of body) {
    const dropped = Math.min(left, chunk.byteLength);
    left -= dropped;
    if (dropped < chunk.byteLength) yield chunk.subarray(dropped);
  }
}

function asBlobUnknown(error: unknown, digest: Digest): unknown {
  if (!(error instanceof RegistryError) || error.reason !== 'NotFound') return error;
  return new RegistryError(`blob ${digest} is not in the repository`, {
    reason: 'NotFound',
    code: 'BLOB_UNKNOWN',
    cause: error,
  });
}
