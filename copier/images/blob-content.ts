/**
 * A blob to be read, whatever place has it: a download under way, the store, or upstream without being kept.
 */
import { verified, withTypedErrors } from '../../registry/client/verified.ts';
import type { OpenedBlob } from '../../registry/client/blobs.ts';
import type { Digest } from '../../registry/core/digest.ts';
import type { OngoingDownload } from '../download/downloads.ts';
import type { ReadRange } from '../download/growing-file.ts';

export interface BlobContent {
  /** Bytes; undefined when nobody knows before the end. */
  readonly size: number | undefined;
  /** A chunk is valid until the next is asked for. Throws when the bytes are not those of the digest. */
  read(range: ReadRange, signal: AbortSignal): AsyncIterable<Uint8Array>;
  /** Must be called, whether it was read or not. */
  close(): void;
}

/**
 * Reads along with a download.
 * @returns undefined when it has ended meanwhile, so that the store has the blob
 */
export async function fromDownload({ opened }: OngoingDownload): Promise<BlobContent | undefined> {
  const { size, file } = await opened;
  const release = file.hold();
  return release && { size, read: (range, signal) => file.follow(range, signal), close: release };
}

/** @param open begins to read at an offset; gives undefined when the blob is gone */
export function fromStore(
  size: number | undefined,
  open: (offset: number, signal: AbortSignal) => Promise<OpenedBlob | undefined>,
): BlobContent {
  return {
    size,
    read: async function* (range, signal) {
      const opened = await open(range.start, signal);
      if (opened !== undefined) yield* upTo(range, chunksOf(opened));
    },
    close: () => undefined,
  };
}

/** Straight from upstream to one client. A range costs the bytes before it, which are hashed, too. */
export function fromUpstream(digest: Digest, opened: OpenedBlob): BlobContent {
  const { size, body } = opened;
  return {
    size,
    read: (range) => upTo(range, withoutFirst(range.start, verified(chunksOf(opened), { digest, size }))),
    close: () => body.on('error', () => undefined).destroy(),
  };
}

function chunksOf({ body, toError }: OpenedBlob): AsyncGenerator<Uint8Array> {
  return withTypedErrors(body as AsyncIterable<Uint8Array>, toError);
}

async function* withoutFirst(bytes: number, chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let left = bytes;
  for await (const chunk of chunks) {
    if (left < chunk.byteLength) yield chunk.subarray(left);
    left = Math.max(0, left - chunk.byteLength);
  }
}

/** As many bytes as the range is long. */
async function* upTo(
  { start, end }: ReadRange,
  chunks: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  let left = end === undefined ? Infinity : end - start;
  for await (const chunk of chunks) {
    if (chunk.byteLength >= left) {
      yield chunk.subarray(0, left);
      return;
    }
    left -= chunk.byteLength;
    yield chunk;
  }
}
