/** Moves an answer's body to the client, and notices when the origin falls silent. */
import type { ServerResponse } from 'node:http';
import { pipeline } from 'node:stream/promises';
import { DeadlineError } from '../platform/deadline.ts';
import type { Answer } from './answer.ts';
import { BlobStream } from './blob-stream.ts';

/**
 * Ends the response with the body. A body that breaks cuts the connection short of Content-Length, so that no client takes
 * a part for the whole.
 * @param silenceMs how long the origin may send nothing while the client is ready to take
 * @throws what broke the transfer, DeadlineError among it
 */
export async function relay(
  body: Answer['body'],
  response: ServerResponse,
  silenceMs: number,
): Promise<void> {
  if (body instanceof BlobStream) {
    await body.sendTo(response, silenceMs);
    return;
  }
  const watch = setTimeout(() => {
    if (response.writableNeedDrain) watch.refresh();
    else body.destroy(new DeadlineError('the next bytes of the body', silenceMs));
  }, silenceMs);
  body.on('data', () => watch.refresh());
  try {
    await pipeline(body, response);
  } finally {
    clearTimeout(watch);
  }
}
