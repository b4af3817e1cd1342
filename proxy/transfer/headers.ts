/** Which headers go from the client to an origin, and which come back. */
import type { IncomingHttpHeaders, OutgoingHttpHeader, OutgoingHttpHeaders } from 'node:http';

/** They say which representation is wanted. Authorization is not among them, nor what frames a message. */
const FORWARDED = [
  'accept',
  'range',
  'if-range',
  'if-none-match',
  'if-modified-since',
  'user-agent',
] as const;

/** They describe the content. What concerns only us and an origin (connection, challenges) stays there. */
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

/** The client's headers that an origin may see, as they came. */
export function forwardedHeaders(headers: IncomingHttpHeaders): Record<string, string> {
  const forwarded: Record<string, string> = {};
  for (const name of FORWARDED) {
    const value = headers[name];
    if (typeof value === 'string') forwarded[name] = value;
  }
  return forwarded;
}

/** An origin's headers that concern the client. */
export function returnedHeaders(headers: OutgoingHttpHeaders): OutgoingHttpHeaders {
  const returned: Record<string, OutgoingHttpHeader> = {};
  for (const name of RETURNED) {
    const value = headers[name];
    if (value !== undefined) returned[name] = value;
  }
  return returned;
}
