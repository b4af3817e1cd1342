/** The response of an origin, whose body nobody has read yet. */
import type { OutgoingHttpHeaders } from 'node:http';
import type { Readable } from 'node:stream';
import { BlobStream } from './blob-stream.ts';

export interface OriginResponse {
  readonly status: number;
  readonly headers: OutgoingHttpHeaders;
  readonly body: Readable | BlobStream;
}

/** Gives the body up. Except for a blob's, the rest is read, so that the connection can be used again. */
export function discardBody({ body }: OriginResponse): void {
  if (body instanceof BlobStream) body.destroy();
  else body.on('error', () => undefined).resume();
}
