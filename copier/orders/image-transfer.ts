/**
 * How orders bring images from upstream into a repository of the store, and what is attached to the images.
 */
import type { Digest } from '../../registry/core/digest.ts';
import type { CopyOptions } from '../../registry/copy/copy-image.ts';
import { copyReferrers } from '../../registry/copy/copy-referrers.ts';
import type { Store } from '../store/store.ts';
import type { UpstreamRepository } from '../upstream/upstream-repository.ts';
import type { Blobs } from '../images/blobs.ts';
import { waitForDownload } from '../images/wait-for-download.ts';
import type { Manifests } from '../images/manifests.ts';
import { describeFailure } from './order-failure.ts';
import type { PullTarget } from '../images/pull-target.ts';

export interface TransferParts {
  readonly store: Store;
  readonly blobs: Blobs;
  readonly manifests: Manifests;
  /** How many blobs of one image are fetched at the same time. */
  readonly parallelBlobs: number;
}

/** What all copies into one repository have in common. */
export type ImageTransfer = Pick<
  CopyOptions,
  'destination' | 'readManifest' | 'transferBlob' | 'concurrency' | 'signal'
>;

/** Shares with pulls what they are fetching already, and with other repositories what they have. */
export function imageTransfer(
  { store, blobs, manifests, parallelBlobs }: TransferParts,
  target: PullTarget,
  upstream: UpstreamRepository,
  signal: AbortSignal,
): ImageTransfer {
  return {
    destination: store.writer(target.storeRepository),
    readManifest: (reference, readSignal) =>
      'digest' in reference
        ? manifests.fetchByDigest(target, reference.digest)
        : upstream.getManifest(reference, readSignal),
    transferBlob: async ({ digest }, { report, resend, signal: blobSignal }) => {
      if (!resend && (await blobs.adopt(target, digest, blobSignal))) return;
      await waitForDownload(blobs.download(target, digest), report, blobSignal);
    },
    concurrency: parallelBlobs,
    signal,
  };
}

/**
 * Copies what refers to these manifests. Failures are only told: an image whose signature is missing is still
 * one that pods need.
 */
export async function copyAttached(
  subjects: readonly Digest[],
  upstream: UpstreamRepository,
  transfer: ImageTransfer,
): Promise<{ referrers: number } | { referrersFailure: string }> {
  try {
    return {
      referrers: await copyReferrers({
        ...transfer,
        subjects,
        listSource: (subject, signal) => upstream.referrers(subject, signal),
      }),
    };
  } catch (error) {
    transfer.signal.throwIfAborted();
    return { referrersFailure: describeFailure(error).message };
  }
}
