/**
 * The pull API for proxies: manifests and blobs from the cache, or from upstream while they are being stored.
 */
import type { ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import type { VerifiedManifest } from '../../registry/client/manifests.ts';
import type { Digest } from '../../registry/core/digest.ts';
import type { ManifestReference } from '../../registry/core/distribution-path.ts';
import { RegistryError } from '../../registry/core/errors.ts';
import { receivePull } from '../../registry/server/pull-request.ts';
import type { Exchange } from '../../registry/server/request-handler.ts';
import type { Blobs } from '../images/blobs.ts';
import type { Lists } from '../images/lists.ts';
import type { Manifests } from '../images/manifests.ts';
import type { PullTarget } from '../images/pull-target.ts';
import { redirectToOwner, type Placement } from './placement.ts';
import type { BlobContent } from '../images/blob-content.ts';
import { sendBlob } from './send-blob.ts';
import { sendReferrers, sendTags } from './send-lists.ts';
import { UpstreamFailure } from '../upstream/upstream-failure.ts';

export interface PullApiOptions {
  readonly manifests: Manifests;
  readonly blobs: Blobs;
  readonly lists: Lists;
  readonly placement: Placement;
}

/** @throws RegistryError to be answered with an OCI error */
export async function servePull(options: PullApiOptions, exchange: Exchange): Promise<void> {
  const { request, response, signal } = exchange;
  const pull = receivePull(request, response);
  if (pull === undefined) return;
  const { path, query } = pull;
  if (redirectToOwner(options.placement, exchange, path.name)) return;
  // Tells the proxy at once that we are at work, however long upstream will take (its head-deadline.ts).
  response.writeProcessing();
  const target: PullTarget = { storeRepository: path.name, cached: path.cached };
  switch (path.kind) {
    case 'manifest':
      sendManifest(response, await findManifest(options, target, path.reference));
      return;
    case 'blob':
      await serveBlob(options, exchange, target, path.digest);
      return;
    case 'tags':
      sendTags(response, path.name, await options.lists.tags(target, signal), new URLSearchParams(query));
      return;
    case 'referrers':
      sendReferrers(
        response,
        await options.lists.referrers(target, path.digest, signal),
        new URLSearchParams(query),
      );
  }
}

function findManifest(
  { manifests }: PullApiOptions,
  target: PullTarget,
  reference: ManifestReference,
): Promise<VerifiedManifest> {
  return 'tag' in reference
    ? manifests.byTag(target, reference.tag)
    : manifests.byDigest(target, reference.digest);
}

function sendManifest(response: ServerResponse, { bytes, digest, manifest }: VerifiedManifest): void {
  response.writeHead(200, {
    'content-type': manifest.mediaType,
    'content-length': bytes.byteLength,
    'docker-content-digest': digest,
    etag: `"${digest}"`,
  });
  // Without the bytes when it answers HEAD: Node.js sees to that.
  response.end(bytes);
}

async function serveBlob(
  { blobs }: PullApiOptions,
  exchange: Exchange,
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
  { signal }: Exchange,
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
