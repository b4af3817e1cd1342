/**
 * How a blob gets from a source into the destination: mounted there if possible, else streamed and verified.
 */
import type { Descriptor } from '../core/manifest.ts';
import type { RepositoryClient } from '../client/repository-client.ts';
import { mountBlob, uploadBlob } from '../client/upload.ts';

/** The blob's bytes, unverified: the destination verifies them. @throws RegistryError */
export type FetchBlob = (blob: Descriptor, signal: AbortSignal) => AsyncIterable<Uint8Array>;

export interface TransferOptions {
  /** Told of bytes as they come. */
  readonly report: (bytes: number) => void;
  /** The destination has lost the blob again: it needs the bytes, a link to what it has would not do. */
  readonly resend: boolean;
  readonly signal: AbortSignal;
}

/** Brings a blob into the destination; it is there when this resolves. @throws RegistryError */
export type TransferBlob = (blob: Descriptor, options: TransferOptions) => Promise<void>;

export interface StreamOptions {
  readonly destination: RepositoryClient;
  readonly fetchBlob: FetchBlob;
  /** A repository of the destination's registry that may have the blob, and that we may read. */
  readonly mountFrom?: (blob: Descriptor) => string | undefined;
}

export function streamInto({ destination, fetchBlob, mountFrom }: StreamOptions): TransferBlob {
  return async (blob, { report, resend, signal }) => {
    const { digest, size } = blob;
    const from = resend ? undefined : mountFrom?.(blob);
    const mount = from === undefined ? undefined : await mountBlob(destination, digest, from, signal);
    if (mount?.mounted === true) {
      report(size);
      return;
    }
    await uploadBlob(destination, {
      digest,
      size,
      body: fetchBlob(blob, signal),
      location: mount?.location,
      onBytes: report,
      signal,
    });
  };
}
