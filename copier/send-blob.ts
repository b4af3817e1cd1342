/** Sends a blob, or the range of it that was asked for, to one client. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Digest } from '../registry/core/digest.ts';
import { RegistryError } from '../registry/core/errors.ts';
import { formatContentRange, parseRange, type RangeRequest } from '../registry/core/range.ts';
import type { ByteRange } from './growing-file.ts';

/** A blob from wherever it is. */
export interface BlobContent {
  /** Bytes; undefined when nobody knows before the end. */
  readonly size: number | undefined;
  /** A chunk is valid until the next one is asked for. Fails when the bytes turn out not to be those of the digest. */
  read(range: ByteRange, signal: AbortSignal): AsyncIterable<Uint8Array>;
  /** Always to be called, read or not. */
  close(): void;
}

/**
 * Answers GET and HEAD, whole or in part (RFC 9110 section 14). A body that fails cuts the connection short.
 * @throws what reading throws
 */
export async function sendBlob(
  { request, response, signal }: { request: IncomingMessage; response: ServerResponse; signal: AbortSignal },
  digest: Digest,
  content: BlobContent,
): Promise<void> {
  const { size } = content;
  const etag = `"${digest}"`;
  const range = rangeOf(request, size, etag);
  response.setHeader('content-type', 'application/octet-stream');
  response.setHeader('docker-content-digest', digest);
  response.setHeader('etag', etag);
  if (size !== undefined) response.setHeader('accept-ranges', 'bytes');
  if (range.kind === 'unsatisfiable') {
    response.setHeader('content-range', formatContentRange(undefined, size ?? 0));
    response.writeHead(416, { 'content-length': 0 }).end();
    return;
  }
  const { start, end } =
    range.kind === 'range' ? { start: range.start, end: range.end + 1 } : { start: 0, end: size };
  if (end !== undefined) response.setHeader('content-length', end - start);
  if (range.kind === 'range' && size !== undefined)
    response.setHeader('content-range', formatContentRange(range, size));
  response.writeHead(range.kind === 'range' ? 206 : 200);
  if (request.method === 'HEAD') {
    response.end();
    return;
  }
  for await (const chunk of content.read({ start, end }, signal)) await write(response, chunk);
  response.end();
}

function rangeOf(request: IncomingMessage, size: number | undefined, etag: string): RangeRequest {
  const condition = request.headers['if-range'];
  const applies = condition === undefined || condition === etag;
  return size === undefined || !applies ? { kind: 'whole' } : parseRange(request.headers.range, size);
}

/**
 * Resolves once the bytes have left us, so that their buffer can be used again.
 * @throws when the client leaves: Node does not always say so to who waits for a write
 */
function write(response: ServerResponse, chunk: Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    const onClose = (): void => {
      reject(new RegistryError('the client has gone', { reason: 'Canceled' }));
    };
    response.once('close', onClose);
    response.write(chunk, (error) => {
      response.off('close', onClose);
      if (error) reject(error);
      else resolve();
    });
    if (response.closed) onClose();
  });
}
