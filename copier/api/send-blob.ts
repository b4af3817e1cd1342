/** Sends a blob, or the range of it that was asked for, to one client. */
import type { IncomingMessage } from 'node:http';
import type { Digest } from '../../registry/core/digest.ts';
import { RegistryError } from '../../registry/core/errors.ts';
import { formatContentRange, parseRange, type RangeRequest } from '../../registry/core/range.ts';
import type { Exchange } from '../../registry/server/request-handler.ts';
import { written } from '../../registry/transport/http/written.ts';
import type { BlobContent } from '../images/blob-content.ts';

/**
 * Answers GET and HEAD, whole or in part (RFC 9110 section 14). Where the body breaks off, so does the
 * connection.
 * @throws what reading throws
 */
export async function sendBlob(
  { request, response, signal }: Exchange,
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
  for await (const chunk of content.read({ start, end }, signal))
    await written(response, chunk, (error) => error ?? clientGone());
  response.end();
}

function rangeOf(request: IncomingMessage, size: number | undefined, etag: string): RangeRequest {
  const condition = request.headers['if-range'];
  const applies = condition === undefined || condition === etag;
  return size === undefined || !applies ? { kind: 'whole' } : parseRange(request.headers.range, size);
}

function clientGone(): RegistryError {
  return new RegistryError('the client has gone', { reason: 'Canceled' });
}
