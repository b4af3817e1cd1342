/** A request of the pull API, checked and parsed once (OCI distribution 1.1, "Pull"). */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { parsePullPath, type PullPath } from '../core/pull-path.ts';
import { bodyNotAllowed, methodNotAllowed } from './oci-error.ts';

export interface PullRequest {
  readonly method: 'GET' | 'HEAD';
  readonly path: PullPath;
  /** With its question mark; empty when there is none. */
  readonly query: string;
}

/**
 * Answers `/v2/`, by which clients find out whether a registry is there.
 * @returns what else is asked for; undefined when that was all
 * @throws RegistryError to be answered as it is
 */
export function receivePull(request: IncomingMessage, response: ServerResponse): PullRequest | undefined {
  const { method, url = '', headers } = request;
  if (method !== 'GET' && method !== 'HEAD') throw methodNotAllowed('GET', 'HEAD');
  // Nobody reads it: it could only be taken for a request of its own (RFC 9112 section 11.2).
  if (headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0)
    throw bodyNotAllowed();
  const path = parsePullPath(url);
  if (path.kind === 'base') {
    response.writeHead(200, {
      'content-type': 'application/json',
      'docker-distribution-api-version': 'registry/2.0',
    });
    response.end('{}');
    return undefined;
  }
  const query = url.indexOf('?');
  return { method, path, query: query < 0 ? '' : url.slice(query) };
}
