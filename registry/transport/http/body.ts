/**
 * The three things to do with a response body that is no blob: read it within bounds, skip it, or give it up.
 */
import type { Readable } from 'node:stream';
import type { RegistryError } from '../../core/errors.ts';

/**
 * Reads a body of at most `limit` bytes.
 * @throws RegistryError from `tooLarge` when it is longer; whatever breaks the transfer
 */
export async function readBody(
  body: Readable,
  limit: number,
  tooLarge: () => RegistryError,
): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of body as AsyncIterable<Buffer>) {
    size += chunk.byteLength;
    if (size > limit) throw tooLarge();
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** Skips a body that is short or empty, so that its connection can serve the next request. */
export function drain({ body }: { readonly body: Readable }): void {
  body.on('error', () => undefined).resume();
}

/** Gives up a body that may be long, and its connection with it. */
export function abandon({ body }: { readonly body: Readable }): void {
  body.on('error', () => undefined).destroy();
}
