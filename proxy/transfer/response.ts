/** What goes between the client and an origin: a request, an answer whose body nobody has read yet, and their headers. */
import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http';
import type { Readable } from 'node:stream';
import type { PullPath } from '../../registry/core/pull-path.ts';
import { BlobStream } from './blob-stream.ts';
import type { Failure } from '../origins/plan.ts';

/** One request of a node's runtime. */
export interface Exchange {
  readonly id: string;
  readonly path: PullPath;
  /** Its URL has the one spelling of the path, and its headers are those that an origin may see. */
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** Aborted when the client has gone. */
  readonly signal: AbortSignal;
}

export interface Answer {
  readonly status: number;
  readonly headers: OutgoingHttpHeaders;
  readonly body: Readable | BlobStream;
}

/** Someone who may have what is asked for. */
export interface Origin {
  /**
   * An answer to pass on to the client, or why there is none. Does not throw.
   * @param isPatient see `Step`
   */
  ask(exchange: Exchange, isPatient: boolean): Promise<Answer | Failure>;
}

/** Gives a body up; what is left of a small one is read, so that its connection can be used again. */
export function discard({ body }: Answer): void {
  if (body instanceof BlobStream) body.destroy();
  else body.on('error', () => undefined).resume();
}

/** Above all no Authorization. */
const FORWARDED = new Set([
  'accept',
  'range',
  'if-range',
  'if-none-match',
  'if-modified-since',
  'user-agent',
]);

/** What concerns the client; what is between us and an origin (connection, challenges) does not. */
const RETURNED = [
  'content-type',
  'content-length',
  'content-range',
  'accept-ranges',
  'docker-content-digest',
  'docker-distribution-api-version',
  'etag',
  'last-modified',
  'link',
  'oci-filters-applied',
] as const;

/** Those that an origin may see, as they came. */
export function forwardedHeaders({ headers }: IncomingMessage): Record<string, string> {
  return Object.fromEntries(
    [...FORWARDED].flatMap((name) => (typeof headers[name] === 'string' ? [[name, headers[name]]] : [])),
  );
}

export function keepForwardedHeaders(request: IncomingMessage): void {
  for (const name of Object.keys(request.headers)) {
    if (!FORWARDED.has(name)) Reflect.deleteProperty(request.headers, name);
  }
}

export function returnedHeaders(headers: OutgoingHttpHeaders): OutgoingHttpHeaders {
  return Object.fromEntries(
    RETURNED.flatMap((name) => (headers[name] === undefined ? [] : [[name, headers[name]]])),
  );
}
