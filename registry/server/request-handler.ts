/**
 * What a server of the distribution API does around every request: it answers errors, writes the access log
 * and counts.
 */
import { randomUUID } from 'node:crypto';
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import type { Logger } from '../../platform/log.ts';
import { RegistryError } from '../core/errors.ts';
import { sendOciError } from './oci-error.ts';

/** One request and its response. */
export interface Exchange {
  /** Stands in the log of each process that takes part. */
  readonly id: string;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** Aborted when the client leaves before it has the whole response. */
  readonly signal: AbortSignal;
  readonly notes: RequestNotes;
}

/** What a process tells the log and the metrics of a request, as soon as it knows. */
export interface RequestNotes {
  /** What is asked for. */
  kind: string;
  /** Who served it, where that is not always the process itself. */
  origin?: string;
  /** In its one spelling; undefined: as it was asked for. */
  path?: string;
  /** When the head of the response was sent, by `performance.now()`. */
  headAt?: number;
}

/** One request that is over. */
export interface RequestMetrics extends Pick<RequestNotes, 'kind' | 'origin'> {
  readonly status: number;
  /** Whether the client got the whole response. */
  readonly complete: boolean;
  /** Bytes sent, the head among them. */
  readonly bytes: number;
  /** Until the head of the response was sent; until the end where nobody noted that. */
  readonly headSeconds: number;
  readonly totalSeconds: number;
}

export interface RequestHandlerOptions {
  /** What it throws is answered with an OCI error. */
  readonly serve: (exchange: Exchange) => Promise<void>;
  /** What is noted of a request that nobody has looked at yet. */
  readonly notes: (request: IncomingMessage) => RequestNotes;
  /** The id that a trusted client gave its request; a new one unless given. */
  readonly requestId?: (request: IncomingMessage) => string | undefined;
  /** Headers of an error's response beside those that every server sends. */
  readonly errorHeaders?: (error: unknown) => Readonly<Record<string, string>>;
  readonly observe: (metrics: RequestMetrics) => void;
  readonly log: Logger;
}

export const REQUEST_ID_HEADER = 'x-request-id';

export function requestHandler(options: RequestHandlerOptions): RequestListener {
  const { serve, notes: firstNotes, requestId, errorHeaders } = options;
  return (request, response) => {
    const startedAt = performance.now();
    const sentBefore = request.socket.bytesWritten;
    const gone = new AbortController();
    const id = requestId?.(request) ?? randomUUID();
    const exchange = { id, request, response, signal: gone.signal, notes: firstNotes(request) };
    let failure: unknown;
    response.on('close', () => {
      report(options, exchange, { startedAt, bytes: request.socket.bytesWritten - sentBefore, failure });
      // An error for each request would cost more than most of what is done for it.
      if (!response.writableFinished)
        gone.abort(new RegistryError('the client has gone', { reason: 'Canceled' }));
    });
    serve(exchange).catch((error: unknown) => {
      failure = error;
      sendOciError(response, error, { [REQUEST_ID_HEADER]: id, ...errorHeaders?.(error) });
    });
  };
}

function report(
  { log, observe }: RequestHandlerOptions,
  { id, request, response, notes: { kind, origin, path, headAt } }: Exchange,
  { startedAt, bytes, failure }: { startedAt: number; bytes: number; failure: unknown },
): void {
  const { statusCode: status, writableFinished: complete } = response;
  const now = performance.now();
  const [headMs, totalMs] = [(headAt ?? now) - startedAt, now - startedAt];
  observe({
    kind,
    ...(origin === undefined ? {} : { origin }),
    status,
    complete,
    bytes,
    headSeconds: headMs / 1_000,
    totalSeconds: totalMs / 1_000,
  });
  log.info('request', {
    requestId: id,
    method: request.method,
    path: path ?? request.url,
    status,
    origin,
    bytes,
    complete,
    headMs: headAt === undefined ? undefined : Math.round(headMs),
    totalMs: Math.round(totalMs),
    ...(failure === undefined ? {} : { error: failure instanceof RegistryError ? failure.message : failure }),
  });
}
