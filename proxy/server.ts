/** The pull API on the node's loopback: checks what may be asked for, and sends what an origin has. */
import type { RequestListener, Server } from 'node:http';
import type { Socket } from 'node:net';
import { isSharedBlobs } from '../api/shared-blobs.ts';
import type { Logger } from '../platform/log.ts';
import type { CapabilityKey } from '../registry/core/capability.ts';
import { formatDistributionPath } from '../registry/core/distribution-path.ts';
import { RegistryError } from '../registry/core/errors.ts';
import type { PullPath } from '../registry/core/pull-path.ts';
import { receivePull } from '../registry/server/pull-request.ts';
import { type Exchange, REQUEST_ID_HEADER, requestHandler } from '../registry/server/request-handler.ts';
import { CapabilityCheck, type TenantPath } from './capability-check.ts';
import type { ProxyMetrics } from './metrics.ts';
import type { Forwarder } from './origins/forward.ts';
import { forwardedHeaders, returnedHeaders } from './transfer/headers.ts';
import { relay } from './transfer/relay.ts';

export interface PullServerOptions {
  readonly forwarder: Forwarder;
  readonly metrics: Pick<ProxyMetrics, 'observe'>;
  readonly log: Logger;
  /** How long an origin may fall silent inside a body, in milliseconds. */
  readonly silenceMs: number;
  /** The keys that private images' capabilities are checked with: the same array until they change. */
  readonly capabilities: { get(): readonly CapabilityKey[] };
  /** Whether the node's runtime opened this connection: it alone may read what belongs to a namespace. */
  readonly isRuntime: (connection: Socket) => Promise<boolean>;
}

export function pullHandler(options: PullServerOptions): RequestListener {
  const { metrics, log } = options;
  const parts = { ...options, check: new CapabilityCheck(options.capabilities) };
  return requestHandler({
    serve: (exchange) => servePull(parts, exchange),
    notes: () => ({ kind: 'other', origin: 'proxy' }),
    observe: metrics.observe,
    log,
  });
}

async function servePull(
  { forwarder, silenceMs, check, isRuntime }: PullServerOptions & { readonly check: CapabilityCheck },
  { id, request, response, signal, notes }: Exchange,
): Promise<void> {
  const pull = receivePull(request, response);
  if (pull === undefined) return;
  const { path, query } = pull;
  notes.kind = path.kind;
  notes.path = formatDistributionPath(path) + query;
  if (isSharedBlobs(path.cached)) throw noRepository();
  if (isPrivate(path)) {
    if (!check.hasKeys) throw noKeys();
    if (!check.isValid(path)) throw noCapability();
    if (!(await isRuntime(request.socket))) throw notTheRuntime();
  }
  // Three attempts of http-proxy and a pipeline listen for its end: together more than Node takes for a leak.
  response.setMaxListeners(30);
  const headers = forwardedHeaders(request.headers);
  const served = await forwarder.serve({ ...pull, id, headers, response, signal });
  notes.origin = served.origin;
  notes.headAt = performance.now();
  response.writeHead(served.response.status, {
    ...returnedHeaders(served.response.headers),
    [REQUEST_ID_HEADER]: id,
  });
  await relay(served.response, response, silenceMs);
}

function noRepository(): RegistryError {
  return new RegistryError('there is no such repository', { reason: 'NotFound', code: 'NAME_UNKNOWN' });
}

function isPrivate(path: PullPath): path is TenantPath {
  return path.cached.tenant !== undefined;
}

function noKeys(): RegistryError {
  return new RegistryError(
    "the keys that private images' names are checked with have not arrived at this node's proxy yet",
    { reason: 'Forbidden' },
  );
}

function noCapability(): RegistryError {
  return new RegistryError(
    'a private image is served under the name that admission gave to its Pod; this name carries no valid capability',
    { reason: 'Forbidden' },
  );
}

function notTheRuntime(): RegistryError {
  return new RegistryError("only the node's runtime may read what belongs to a namespace", {
    reason: 'Forbidden',
  });
}

/**
 * Runtimes try TLS first, also on localhost: they come back over plain HTTP only when the ClientHello gets a
 * response in HTTP, and give up when the connection is closed.
 */
export function answerTlsInPlain(server: Server): void {
  server.on('clientError', (_error, socket) => {
    if (!socket.writable) return;
    socket.end('HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n');
  });
}
