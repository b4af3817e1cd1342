/** The head of an HTTP/1.1 answer (RFC 9112 sections 4 and 5). */

export interface ResponseHead {
  readonly status: number;
  /** Names in lower case; the values of a repeated field joined by commas. */
  readonly headers: Readonly<Record<string, string | undefined>>;
  /** What has come of the body. */
  readonly rest: Buffer;
}

const END = '\r\n\r\n';
const MAX_BYTES = 64 * 1024;

export class HeadReader {
  #received: Buffer = Buffer.alloc(0);

  /**
   * Takes the next bytes. Undefined while the head is not there to its end.
   * @param onInterim called for each interim answer (RFC 9110 section 15.2)
   * @throws Error when it is no HTTP
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
