/** A place for blobs, each in a repository. The downloads write to it; the store is one. */
import type { Digest } from '../registry/core/digest.ts';

/** A blob in a repository of the store. Who may read one repository need not be allowed to read another. */
export interface BlobKey {
  readonly repository: string;
  readonly digest: Digest;
}

/** Where downloaded blobs are stored. */
export interface BlobSink {
  /**
   * Commits a blob while its content arrives. The last byte comes only once the whole is verified; otherwise
   * `content` throws, and nothing may be committed. A chunk is valid until the next is asked for.
   * @param size bytes, when upstream has announced them
   */
  put(
    key: BlobKey,
    size: number | undefined,
    content: AsyncIterable<Uint8Array>,
    signal: AbortSignal,
  ): Promise<void>;
}
