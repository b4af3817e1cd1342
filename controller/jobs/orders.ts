/** What the copier can be asked to do about one image, and what each request results in. */
import type { VerifyAnswer } from '../../api/copier-api.ts';
import type { ReadyReason } from '../../api/reasons.ts';
import type { StoredImage } from '../../api/stored-image.ts';
import type { Reference } from '../../registry/core/reference.ts';

/** Asks for a copy of an image; checks and verifications take the same fields. */
export interface CopyRequest {
  readonly reference: Reference;
  readonly tenant?: string;
  readonly platforms: readonly string[];
  readonly pullSecrets: readonly string[];
  /** Whether signatures and attestations are copied with the image; absent: the copier decides. */
  readonly referrers?: boolean;
}

/** Whether two requests for the same image have the same effect. */
export function sameRequest(a: CopyRequest, b: CopyRequest): boolean {
  return (
    a.platforms.join() === b.platforms.join() &&
    a.pullSecrets.join() === b.pullSecrets.join() &&
    a.referrers === b.referrers
  );
}

export interface CopyResult {
  readonly digest: string;
  readonly sizeBytes: number;
  readonly platforms: readonly string[];
  /** How many artifacts that refer to the image were copied with it. */
  readonly referrers?: number | undefined;
  /** Why those artifacts were not copied; the image itself was. */
  readonly referrersFailure?: string | undefined;
}

/** The store's answer, and the platforms it was asked about. */
export type VerifyResult = VerifyAnswer & { readonly requested: readonly string[] };

export interface ImageToRemove extends StoredImage {
  /**
   * For a digest that a tag named before: the CachedImage of the tag, whose pods may still run the digest.
   */
  readonly ranBy?: string;
}

export interface RemoveRequest {
  readonly targets: readonly ImageToRemove[];
  /** The digest, when an earlier digest of a tag is removed and not the whole image. */
  readonly previous?: string;
  /** How much space the removal is expected to free, in bytes. */
  readonly sizeBytes: number;
}

export interface RemoveResult {
  /** As in the request. */
  readonly previous?: string;
  /** Pods use it after all, so nothing was removed. */
  readonly inUse: boolean;
}

/** A request that the copier did not carry out. `message` is fit for users. */
export class OrderFailed extends Error {
  override readonly name = 'OrderFailed';
  readonly reason: ReadyReason;
  readonly retryAfterSeconds: number | undefined;

  constructor(
    message: string,
    reason: ReadyReason,
    options: { cause?: unknown; retryAfterSeconds?: number } = {},
  ) {
    super(message, { cause: options.cause });
    this.reason = reason;
    this.retryAfterSeconds = options.retryAfterSeconds;
  }
}
