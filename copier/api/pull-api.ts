/** The pull API for proxies: manifests and blobs from the cache, or from upstream while they are being stored. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { UPSTREAM_REASON_HEADER } from '../../api/copier-headers.ts';
import type { Digest } from '../../registry/core/digest.ts';
import type { ManifestReference } from '../../registry/core/distribution-path.ts';
import { RegistryError, toOciErrorBody, toRegistryError } from '../../registry/core/errors.ts';
import { parsePullPath } from '../../registry/core/pull-path.ts';
import type { Blobs } from '../images/blobs.ts';
import type { Lists } from '../images/lists.ts';
import type { Manifests } from '../images/manifests.ts';
import type { PullTarget } from '../images/pull-target.ts';
import { sentElsewhere, type Placement } from './placement.ts';
import type { BlobContent } from '../images/blob-content.ts';
import { sendBlob } from './send-blob.ts';
import { sendReferrers, sendTags } from './send-lists.ts';
import { UpstreamFailure } from '../upstream/upstream-failure.ts';

export interface PullExchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** Aborted when the client has gone. */
  readonly signal: AbortSignal;
}

export interface PullApiOptions {
  readonly manifests: Manifests;
  readonly blobs: Blobs;
  readonly lists: Lists;
  readonly placement: Placement;
}

/** @throws RegistryError to be answered with `sendError` */
export async function servePull(options: PullApiOptions, exchange: PullExchange): Promise<void> {
  const { request, response } = exchange;
  if (request.method !== 'GET' && request.method !== 'HEAD') throw notAllowed();
  const path = parsePullPath(request.url ?? '');
  if (path.kind === 'base') {
    response.writeHead(200, {
      'content-type': 'application/json',
      'docker-distribution-api-version': 'registry/2.0',
    });
    response.end('{}');
    return;
  }
  if (sentElsewhere(options.placement, exchange, path.name)) return;
  // Says at once that somebody is at work, however long upstream will take.
  response.writeProcessing();
  const target: PullTarget = { repository: path.name, cached: path.cached };
  switch (path.kind) {
    case 'manifest':
      await serveManifest(options, exchange, target, path.reference);
      return;
    case 'blob':
      await serveBlob(options, exchange, target, path.digest);
      return;
    case 'tags':
      sendTags(response, path.name, await options.lists.tags(target, exchange.signal), queryOf(request));
      return;
    case 'referrers':
      sendReferrers(
        response,
        await options.lists.referrers(target, path.digest, exchange.signal),
        queryOf(request),
      );
  }
}

function queryOf({ url = '' }: IncomingMessage): URLSearchParams {
  const at = url.indexOf('?');
  return new URLSearchParams(at < 0 ? '' : url.slice(at));
}

async function serveManifest(
  { manifests }: PullApiOptions,
  { request, response }: PullExchange,
  target: PullTarget,
  reference: ManifestReference,
): Promise<void> {
  const { bytes, digest, manifest } =
    'tag' in reference
      ? await manifests.byTag(target, reference.tag)
      : await manifests.byDigest(target, reference.digest);
  response.writeHead(200, {
    'content-type': manifest.mediaType,
    'content-length': bytes.byteLength,
    'docker-content-digest': digest,
    etag: `"${digest}"`,
  });
  response.end(request.method === 'HEAD' ? undefined : bytes);
}

async function serveBlob(
  { blobs }: PullApiOptions,
  exchange: PullExchange,
  target: PullTarget,
  digest: Digest,
): Promise<void> {
  const content =
    exchange.request.method === 'HEAD'
      ? await headOnly(blobs, target, digest, exchange)
      : await blobs.find(target, digest, exchange.signal);
  try {
    await sendBlob(exchange, digest, content);
  } finally {
    content.close();
  }
}

/** HEAD must not begin to fetch a blob that nobody may want. */
async function headOnly(
  blobs: Blobs,
  target: PullTarget,
  digest: Digest,
  { signal }: PullExchange,
): Promise<BlobContent> {
  const head = await blobs.head(target, digest, signal);
  if (head === undefined) {
    throw new UpstreamFailure(
      new RegistryError(`blob ${digest} is not in the repository`, {
        reason: 'NotFound',
        code: 'BLOB_UNKNOWN',
      }),
    );
  }
  return { size: head.size, read: () => Readable.from([]), close: () => undefined };
}

/** Answers with an OCI error, and says when it is upstream's. A body that was begun is cut off. */
export function sendError(response: ServerResponse, thrown: unknown): void {
  if (response.headersSent) {
    response.destroy();
    return;
  }
  const error = toRegistryError(thrown);
  const body = JSON.stringify(toOciErrorBody(error));
  for (const name of response.getHeaderNames()) response.removeHeader(name);
  response.setHeader('content-type', 'application/json');
  response.setHeader('content-length', Buffer.byteLength(body));
  if (error instanceof UpstreamFailure) response.setHeader(UPSTREAM_REASON_HEADER, error.reason);
  if (error.retryAfterSeconds !== undefined)
    response.setHeader('retry-after', Math.ceil(error.retryAfterSeconds));
  response.writeHead(error.status);
  response.end(body);
}

function notAllowed(): RegistryError {
  return new RegistryError('only GET and HEAD are served here', {
    reason: 'Invalid',
    code: 'UNSUPPORTED',
    status: 405,
  });
}
