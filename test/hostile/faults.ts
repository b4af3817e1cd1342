/** The faults of the hostile registry, by name: how each changes the response once it is armed. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { setTimeout as pause } from 'node:timers/promises';
import { sendContent, type Found } from './send.ts';

export interface FaultyExchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** The response of an honest registry; undefined when it has nothing to send. */
  readonly found: Found | undefined;
  /** A host that never sends a packet back. */
  readonly deadHost: string;
}

type Fault = (exchange: FaultyExchange) => Promise<void> | void;

const SLOW_BYTES_PER_TICK = 103;
const TICK_MS = 100;

/** The first part of a repository's name is the name of its fault. */
export const FAULTS = {
  none: sendContent,
  unauthorized: ({ response }) => {
    refuse(response, 401, 'UNAUTHORIZED', { 'www-authenticate': 'Basic realm="hostile"' });
  },
  forbidden: ({ response }) => {
    refuse(response, 403, 'DENIED');
  },
  deleted: ({ response }) => {
    refuse(response, 404, 'MANIFEST_UNKNOWN');
  },
  limited: ({ response }) => {
    refuse(response, 429, 'TOOMANYREQUESTS', { 'retry-after': '7' });
  },
  broken: ({ response }) => {
    refuse(response, 500, 'UNKNOWN');
  },
  /** Transfers of blobs break halfway, until little is left. */
  reset: (exchange) => {
    if (exchange.found?.kind !== 'blob') return sendContent(exchange);
    return sendContent({ ...exchange, cutAfter: 'half' });
  },
  /** The same, but always at the same byte, since ranges are ignored. */
  cut: (exchange) => {
    if (exchange.found?.kind !== 'blob') return sendContent(exchange);
    return sendContent({ ...exchange, cutAfter: 'half', ranges: false });
  },
  /** Blobs have the right length but wrong bytes. */
  liar: (exchange) => {
    if (exchange.found?.kind !== 'blob') return sendContent(exchange);
    return sendContent({ ...exchange, alter: (bytes) => Buffer.from(bytes).fill(0x21, -16) });
  },
  /** Manifests have wrong bytes. */
  forger: (exchange) => {
    if (exchange.found?.kind !== 'manifest') return sendContent(exchange);
    return sendContent({ ...exchange, alter: (bytes) => Buffer.from(bytes.toString().replace('2', '3')) });
  },
  /** About 1 KB/s. */
  slow: (exchange) => {
    if (exchange.found?.kind !== 'blob') return sendContent(exchange);
    return sendContent({
      ...exchange,
      chunkBytes: SLOW_BYTES_PER_TICK,
      betweenChunks: () => pause(TICK_MS),
    });
  },
  /** Accepts requests and never answers. */
  silent: () => undefined,
  /** Sends the runtime to the proxy of its own node, for the repository that the rest of the name says. */
  lure: ({ request, response }) => {
    const path = (request.url ?? '/').replace('/v2/lure/', '/v2/');
    response.writeHead(307, { location: `http://localhost:7439${path}` }).end();
  },
  redirect: ({ request, response, deadHost }) => {
    response.writeHead(307, { location: `http://${deadHost}${request.url ?? '/'}` }).end();
  },
} satisfies Record<string, Fault>;

export type FaultName = keyof typeof FAULTS;

export function faultOf(repository: string): Fault {
  const [name = ''] = repository.split('/', 1);
  return Object.hasOwn(FAULTS, name) ? FAULTS[name as FaultName] : FAULTS.none;
}

export function refuse(
  response: ServerResponse,
  status: number,
  code: string,
  headers: Record<string, string> = {},
): void {
  const body = JSON.stringify({ errors: [{ code, message: `the hostile registry says ${status}` }] });
  response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(body);
}
