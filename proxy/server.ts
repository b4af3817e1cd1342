/** The pull API on the node's loopback: the door where a request is checked, answered, logged and counted. */
import { randomUUID } from 'node:crypto';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { isShelf } from '../api/shared-blobs.ts';
import type { Logger } from '../platform/log.ts';
import { type CachedName, hideCapabilities } from '../registry/core/cached-name.ts';
import { type CapabilityKey, isCapabilityFor, type TenantName } from '../registry/core/capability.ts';
import { formatDistributionPath } from '../registry/core/distribution-path.ts';
import { RegistryError, toOciErrorBody, toRegistryError } from '../registry/core/errors.ts';
import { parsePullPath, type PullPath } from '../registry/core/pull-path.ts';
import { keepForwardedHeaders, returnedHeaders } from './transfer/response.ts';
import type { Forwarder } from './origins/forward.ts';
import type { ProxyMetrics } from './metrics.ts';
import { relay } from './transfer/relay.ts';

export interface PullServerOptions {
  readonly forwarder: Forwarder;
  readonly metrics: ProxyMetrics;
  readonly log: Logger;
  /** How long an origin may fall silent inside a body, in milliseconds. */
  readonly silenceMs: number;
  /** Keys that capabilities of private images' names are made with. */
  readonly capabilityKeys: () => readonly CapabilityKey[];
  /** Whether whoever opened this connection may read what belongs to a namespace. */
  readonly admitsToTenants: (connection: Socket) => Promise<boolean>;
}

/** What the access log and the metrics tell of one request. */
interface Account {
  readonly id: string;
  readonly startedAt: number;
  path?: PullPath;
  origin: string;
  headAt?: number;
  error?: unknown;
}

export function pullHandler(
  options: PullServerOptions,
): (request: IncomingMessage, response: ServerResponse) => void {
  return (request, response) => {
    const account: Account = { id: randomUUID(), startedAt: performance.now(), origin: 'proxy' };
    const sentBefore = request.socket.bytesWritten;
    response.on('close', () => {
      report(options, request, response, account, request.socket.bytesWritten - sentBefore);
    });
    answer(options, request, response, account).catch((error: unknown) => {
      account.error = error;
      if (response.headersSent) response.destroy();
      else sendError(response, error);
    });
  };
}

async function answer(
  { forwarder, silenceMs, capabilityKeys, admitsToTenants }: PullServerOptions,
  request: IncomingMessage,
  response: ServerResponse,
  account: Account,
): Promise<void> {
  if (request.method !== 'GET' && request.method !== 'HEAD') throw notAllowed();
  const url = request.url ?? '';
  const path = parsePullPath(url);
  if (path.kind === 'base') {
    response.writeHead(200, {
      'content-type': 'application/json',
      'docker-distribution-api-version': 'registry/2.0',
    });
    response.end('{}');
    return;
  }
  account.path = path;
  if (isShelf(path.cached)) throw noRepository();
  const query = url.indexOf('?');
  // Before anything is refused: neither a log nor a peer gets to see a capability.
  request.url = formatDistributionPath(path) + (query < 0 ? '' : url.slice(query));
  const { cached, capability } = path;
  if (isTenants(cached)) {
    if (!isCapabilityFor(cached, capability, capabilityKeys())) throw noCapability();
    if (!(await admitsToTenants(request.socket))) throw notTheRuntime();
  }
  keepForwardedHeaders(request);
  // Three attempts of http-proxy and a pipeline listen for the end: together more than Node takes for a leak.
  response.setMaxListeners(30);
  const gone = new AbortController();
  response.on('close', () => {
    // An error for each request would cost more than most of what is done for it.
    if (!response.writableFinished)
      gone.abort(new RegistryError('the client has gone', { reason: 'Canceled' }));
  });
  const served = await forwarder.open({ id: account.id, path, request, response, signal: gone.signal });
  account.origin = served.origin;
  account.headAt = performance.now();
  response.writeHead(served.answer.status, {
    ...returnedHeaders(served.answer.headers),
    'x-request-id': account.id,
  });
  await relay(served.answer, response, silenceMs);
}

function sendError(response: ServerResponse, thrown: unknown): void {
  const error = toRegistryError(thrown);
  const body = JSON.stringify(toOciErrorBody(error));
  response.setHeader('content-type', 'application/json');
  response.setHeader('content-length', Buffer.byteLength(body));
  if (error.status === 405) response.setHeader('allow', 'GET, HEAD');
  if (error.retryAfterSeconds !== undefined)
    response.setHeader('retry-after', Math.ceil(error.retryAfterSeconds));
  response.writeHead(error.status);
  response.end(body);
}

function report(
  { log, metrics }: PullServerOptions,
  request: IncomingMessage,
  response: ServerResponse,
  account: Account,
  bytes: number,
): void {
  const { path, origin, startedAt, headAt, error } = account;
  const kind = path?.kind ?? 'other';
  const complete = response.writableFinished;
  const seconds = ((headAt ?? performance.now()) - startedAt) / 1_000;
  metrics.observe({ kind, origin, status: response.statusCode, complete, bytes, seconds });
  log.info('request', {
    requestId: account.id,
    method: request.method,
    path: hideCapabilities(request.url ?? ''),
    status: response.statusCode,
    origin,
    bytes,
    complete,
    headMs: Math.round(seconds * 1_000),
    totalMs: Math.round(performance.now() - startedAt),
    ...(error === undefined ? {} : { error: error instanceof RegistryError ? error.message : error }),
  });
}

function noRepository(): RegistryError {
  return new RegistryError('there is no such repository', { reason: 'NotFound', code: 'NAME_UNKNOWN' });
}

function isTenants(cached: CachedName): cached is TenantName {
  return cached.tenant !== undefined;
}

function noCapability(): RegistryError {
  return new RegistryError(
    "what belongs to a namespace is served under the name that Larder's admission gave to a Pod of it; this one carries no valid capability",
    { reason: 'Forbidden' },
  );
}

function notTheRuntime(): RegistryError {
  return new RegistryError("what belongs to a namespace is for the node's runtime only", {
    reason: 'Forbidden',
  });
}

function notAllowed(): RegistryError {
  return new RegistryError('only GET and HEAD are served here', {
    reason: 'Invalid',
    code: 'UNSUPPORTED',
    status: 405,
  });
}

/**
 * Runtimes try TLS first, also on localhost: they come back over plain HTTP only when the ClientHello gets an answer that is
 * HTTP, whereas a closed connection makes them give up.
 */
export function answerTlsInPlain(server: Server): void {
  server.on('clientError', (_error, socket) => {
    if (!socket.writable) return;
    socket.end('HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n');
  });
}
