/** Puts manifests into a registry whose garbage collector may run at any moment. */
import { type OciErrorCode, RegistryError } from '../core/errors.ts';

/** How often the blobs of one manifest are sent again. */
const MAX_RESENDS = 2;

const INCOMPLETE: readonly OciErrorCode[] = [
  'MANIFEST_BLOB_UNKNOWN',
  'BLOB_UNKNOWN',
  'MANIFEST_UNKNOWN',
  'MANIFEST_INVALID',
];

/** Whether a registry refused a manifest because it lacks content; the specification leaves the code open. */
export function isIncomplete(error: unknown): boolean {
  return error instanceof RegistryError && INCOMPLETE.includes(error.code);
}

/**
 * Puts a manifest whose blobs have been sent. A collection in between takes blobs that no manifest refers to
 * yet; the registry then refuses the manifest, and all its blobs are sent again.
 * @param resend sends the blobs whatever the registry says that it has; undefined for a manifest without
 * blobs
 * @throws what `put` threw last, or what `resend` throws
 */
export async function putOrResend(
  put: () => Promise<void>,
  resend: (() => Promise<void>) | undefined,
): Promise<void> {
  for (let resends = 0; ; resends++) {
    try {
      await put();
      return;
    } catch (error) {
      if (!isIncomplete(error) || resend === undefined || resends === MAX_RESENDS) throw error;
      await resend();
    }
  }
}
