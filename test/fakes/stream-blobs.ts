/** Copies without a copier: blobs are mounted in the destination if possible, else streamed into it. */
import type { RepositoryClient } from '../../registry/client/repository-client.ts';
import { cancelUpload, mountBlob, uploadBlob } from '../../registry/client/upload.ts';
import type { TransferBlob } from '../../registry/copy/copy-image.ts';
import type { Descriptor } from '../../registry/core/manifest.ts';

export interface StreamOptions {
  readonly destination: RepositoryClient;
  /** The blob's bytes, verified. @throws RegistryError */
  readonly fetchBlob: (blob: Descriptor, signal: AbortSignal) => AsyncIterable<Uint8Array>;
  /** A repository of the destination's registry that may have the blob, and that we may read. */
  readonly mountFrom?: (blob: Descriptor) => string | undefined;
}

export function streamInto({ destination, fetchBlob, mountFrom }: StreamOptions): TransferBlob {
  return async (blob, { report, resend, signal }) => {
    const { digest, size } = blob;
    const from = resend ? undefined : mountFrom?.(blob);
    if (from !== undefined) {
      const mount = await mountBlob(destination, digest, from, signal);
      if (mount.mounted) {
        report(size);
        return;
      }
      await cancelUpload(destination, mount.location);
    }
    await uploadBlob(destination, { digest, size, body: counted(fetchBlob(blob, signal), report), signal });
  };
}

async function* counted(
  body: AsyncIterable<Uint8Array>,
  report: (bytes: number) => void,
): AsyncGenerator<Uint8Array> {
  for await (const chunk of body) {
    report(chunk.byteLength);
    yield chunk;
  }
}
