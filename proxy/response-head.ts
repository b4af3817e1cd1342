/** The head of an HTTP/1.1 answer (RFC 9112 sections 4 and 5), as a peer of ours sends it. */

export interface ResponseHead {
  readonly status: number;
  /** Names in lower case; of a repeated field the last. */
  readonly headers: Readonly<Record<string, string>>;
  /** Where the body begins. */
  readonly bodyStart: number;
}

const END = '\r\n\r\n';

/**
 * Undefined when it is not there to its end yet.
 * @throws Error when it is no HTTP
 */
export function parseHead(bytes: Buffer): ResponseHead | undefined {
  const end = bytes.indexOf(END);
  if (end < 0) return undefined;
  const [statusLine = '', ...fields] = bytes.toString('latin1', 0, end).split('\r\n');
  const [, status] = /^HTTP\/1\.[01] (\d{3})(?: |$)/.exec(statusLine) ?? [];
  if (status === undefined) throw new Error('the answer is not HTTP/1.1');
  const headers: Record<string, string> = {};
  for (const field of fields) {
    const colon = field.indexOf(':');
    if (colon <= 0) throw new Error('the answer has a malformed header');
    headers[field.slice(0, colon).toLowerCase()] = field.slice(colon + 1).trim();
  }
  return { status: Number(status), headers, bodyStart: end + END.length };
}
