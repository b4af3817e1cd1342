/** The head of an HTTP/1.1 request (RFC 9112 section 3). */
import { RegistryError } from '../../core/errors.ts';
import type { HttpRequest } from './messages.ts';

/**
 * A header's value may come from elsewhere (tokens come from token servers) and must not begin another
 * request.
 */
const FIELD_VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;

/** @throws RegistryError with reason `Invalid` when a header holds what no header may */
export function formatRequestHead({
  method,
  url,
  headers,
}: Pick<HttpRequest, 'method' | 'url' | 'headers'>): string {
  const fields = Object.entries({ host: url.host, ...headers });
  if (fields.some(([, value]) => !FIELD_VALUE.test(value)))
    throw new RegistryError('a header cannot be sent', { reason: 'Invalid' });
  const lines = fields.map(([name, value]) => `${name}: ${value}\r\n`).join('');
  return `${method} ${url.pathname}${url.search} HTTP/1.1\r\n${lines}\r\n`;
}
