/** Sends an origin's body to the client, and notices when the origin falls silent. */
import type { ServerResponse } from 'node:http';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { DeadlineError } from '../../platform/deadline.ts';
import { BlobStream } from './blob-stream.ts';
import type { OriginResponse } from './response.ts';

/** Manifests are seldom larger, in bytes. */
const SMALL_BYTES = 256 * 1024;

/**
 * Ends the response with the body. If the body breaks off, the connection is cut before Content-Length is
 * reached, so that no client takes a part for the whole.
 * @param silenceMs how long the origin may send nothing while the client is ready to take
 * @throws what broke the transfer, DeadlineError among it
 */
export async function relay(
  { body, headers }: Pick<OriginResponse, 'body' | 'headers'>,
  response: ServerResponse,
  silenceMs: number,
): Promise<void> {
  if (body instanceof BlobStream) {
    await body.sendTo(response, silenceMs);
    return;
  }
  const length = Number(headers['content-length'] ?? NaN);
  const watch = setTimeout(() => {
    if (response.writableNeedDrain) watch.refresh();
    else body.destroy(new DeadlineError('the next bytes of the body', silenceMs));
  }, silenceMs);
  body.on('data', () => watch.refresh());
  try {
    // In one piece with the head: for a manifest, a pipeline costs several times as much.
    if (length <= SMALL_BYTES) response.end(Buffer.concat(await collect(body)));
    else await pipeline(body, response);
  } finally {
    clearTimeout(watch);
  }
}

async function collect(body: Readable): Promise<Uint8Array[]> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of body as AsyncIterable<Uint8Array>) chunks.push(chunk);
  return chunks;
}
