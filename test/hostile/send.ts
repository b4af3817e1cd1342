/** Sends content of the hostile registry, with the faults that a test wants. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Content } from '../cluster/images.ts';

export interface Found {
  readonly kind: 'manifest' | 'blob';
  readonly content: Content;
}

export interface Sending {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly found: Found | undefined;
  /** Where the connection is reset. */
  readonly cutAfter?: 'half';
  /** Whether ranges are understood; default: for blobs. */
  readonly ranges?: boolean;
  readonly alter?: (bytes: Buffer) => Buffer;
  readonly chunkBytes?: number;
  readonly betweenChunks?: () => Promise<void>;
}

/** A rest as small as this is never cut, so that a client that resumes a transfer reaches its end. */
const CUT_BYTES = 64 * 1024;

export async function sendContent(sending: Sending): Promise<void> {
  const { request, response, found } = sending;
  if (found === undefined) {
    const body = JSON.stringify({ errors: [{ code: 'MANIFEST_UNKNOWN', message: 'there is none' }] });
    response.writeHead(404, { 'content-type': 'application/json' }).end(body);
    return;
  }
  const { digest, mediaType } = found.content;
  const whole = Buffer.concat([...found.content.bytes()]);
  const { start, ranged } = rangeOf(sending, whole.length);
  const bytes = (sending.alter?.(whole) ?? whole).subarray(start);
  response.writeHead(ranged ? 206 : 200, {
    'content-type': found.kind === 'manifest' ? mediaType : 'application/octet-stream',
    'content-length': bytes.length,
    'docker-content-digest': digest,
    ...(ranged ? { 'content-range': `bytes ${start}-${whole.length - 1}/${whole.length}` } : {}),
  });
  if (request.method === 'HEAD') {
    response.end();
    return;
  }
  await sendBody(sending, bytes);
}

async function sendBody(sending: Sending, bytes: Buffer): Promise<void> {
  const { request, response, cutAfter, chunkBytes = bytes.length, betweenChunks } = sending;
  if (cutAfter === 'half' && bytes.length > CUT_BYTES) {
    // Flushed, so that the first half arrives before the reset.
    response.write(bytes.subarray(0, bytes.length >> 1), () => request.socket.resetAndDestroy());
    return;
  }
  for (let at = 0; at < bytes.length && !response.destroyed; at += chunkBytes) {
    response.write(bytes.subarray(at, at + chunkBytes));
    await betweenChunks?.();
  }
  response.end();
}

/** Only ranges to the end: no others are needed to resume a transfer. */
function rangeOf(
  { request, found, ranges = true }: Sending,
  size: number,
): { start: number; ranged: boolean } {
  const [, first] = /^bytes=(\d+)-$/.exec(request.headers.range ?? '') ?? [];
  const start = Number(first);
  if (!ranges || first === undefined || found?.kind !== 'blob' || start >= size)
    return { start: 0, ranged: false };
  return { start, ranged: true };
}
