/** The head of an HTTP/1.1 response (RFC 9112 sections 4 to 6). */

export interface ResponseHead {
  readonly status: number;
  /** Names in lower case; the values of a repeated field joined by commas. */
  readonly headers: Readonly<Record<string, string | undefined>>;
  /** The beginning of the body, as far as it came together with the head. */
  readonly rest: Buffer;
}

const END = '\r\n\r\n';
const MAX_BYTES = 64 * 1024;

export class ResponseHeadReader {
  #received: Buffer = Buffer.alloc(0);

  /**
   * Takes the next bytes. Returns undefined until the head is complete.
   * @param onInterim called for each interim response (RFC 9110 section 15.2)
   * @throws Error when it is not HTTP/1.1
   */
  read(chunk: Buffer, onInterim: () => void): ResponseHead | undefined {
    this.#received = Buffer.concat([this.#received, chunk]);
    for (;;) {
      const end = this.#received.indexOf(END);
      if (end < 0) break;
      const head = parseHead(this.#received.toString('latin1', 0, end));
      const rest = this.#received.subarray(end + END.length);
      if (head.status >= 200) return { ...head, rest };
      this.#received = rest;
      onInterim();
    }
    if (this.#received.byteLength > MAX_BYTES) throw new Error('the head of the answer is too long');
    return undefined;
  }
}

function parseHead(text: string): Omit<ResponseHead, 'rest'> {
  const [statusLine = '', ...fields] = text.split('\r\n');
  const [, status] = /^HTTP\/1\.[01] (\d{3})(?: |$)/.exec(statusLine) ?? [];
  if (status === undefined) throw new Error('the answer is not HTTP/1.1');
  const headers: Record<string, string | undefined> = {};
  for (const field of fields) {
    const colon = field.indexOf(':');
    if (colon <= 0) throw new Error('the answer has a malformed header');
    const name = field.slice(0, colon).toLowerCase();
    const value = field.slice(colon + 1).trim();
    headers[name] = headers[name] === undefined ? value : `${headers[name]}, ${value}`;
  }
  return { status: Number(status), headers };
}

/** How a body tells its end (RFC 9112 section 6.3). */
export type Framing =
  | { readonly kind: 'length'; readonly bytes: number }
  | { readonly kind: 'chunked' }
  | { readonly kind: 'until-close' };

/** Of the response to anything but HEAD. @throws Error when nobody can tell where the body ends */
export function framingOf({ status, headers }: ResponseHead): Framing {
  const coding = headers['transfer-encoding'];
  if (status === 204 || status === 304) return { kind: 'length', bytes: 0 };
  if (coding !== undefined) {
    if (coding.toLowerCase() !== 'chunked') throw new Error('the answer has an unknown transfer coding');
    return { kind: 'chunked' };
  }
  const length = headers['content-length'];
  if (length === undefined) return { kind: 'until-close' };
  if (!/^[0-9]{1,15}$/.test(length)) throw new Error('the answer has no proper length');
  return { kind: 'length', bytes: Number(length) };
}

/** Whether the server means to keep the connection open. */
export function isPersistent({ headers }: ResponseHead): boolean {
  return !/\bclose\b/i.test(headers['connection'] ?? '');
}
