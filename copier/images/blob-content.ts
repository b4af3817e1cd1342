/** A blob as it is read, wherever it is. */
import type { ByteRange } from '../download/growing-file.ts';

/** A blob from wherever it is. */
export interface BlobContent {
  /** Bytes; undefined when nobody knows before the end. */
  readonly size: number | undefined;
  /** A chunk is valid until the next one is asked for. Fails when the bytes turn out not to be those of the digest. */
  read(range: ByteRange, signal: AbortSignal): AsyncIterable<Uint8Array>;
  /** Always to be called, read or not. */
  close(): void;
}
