/** Decodes the chunked transfer coding (RFC 9112 section 7.1) as it comes. */

/** The longest line: a chunk's size with its extensions, or a trailer field. */
const MAX_LINE_BYTES = 8 * 1024;

export class ChunkedDecoder {
  #state: 'size' | 'data' | 'data-end' | 'trailer' | 'done' = 'size';
  #left = 0;
  #line = '';

  /** Whether the last chunk and the trailer have come. */
  get done(): boolean {
    return this.#state === 'done';
  }

  /** The content among these bytes. @throws Error when they are not in this coding, or go on after its end */
  decode(bytes: Uint8Array): Uint8Array[] {
    const content: Uint8Array[] = [];
    for (let at = 0; at < bytes.byteLength;) {
      if (this.#state === 'done') throw new Error('the answer goes on after its end');
      if (this.#state === 'data') {
        const piece = bytes.subarray(at, at + this.#left);
        content.push(piece);
        at += piece.byteLength;
        this.#left -= piece.byteLength;
        if (this.#left === 0) this.#state = 'data-end';
      } else {
        at = this.#takeLine(bytes, at);
      }
    }
    return content;
  }

  /** @returns the position after the line */
  #takeLine(bytes: Uint8Array, at: number): number {
    const end = bytes.indexOf(0x0a, at);
    const until = end < 0 ? bytes.byteLength : end + 1;
    this.#line += Buffer.from(bytes.buffer, bytes.byteOffset + at, until - at).toString('latin1');
    if (this.#line.length > MAX_LINE_BYTES) throw new Error('the answer has a chunk without a size');
    if (end >= 0) {
      this.#heed(this.#line.replace(/\r?\n$/, ''));
      this.#line = '';
    }
    return until;
  }

  #heed(line: string): void {
    if (this.#state === 'size') {
      const [, digits] = /^([0-9a-fA-F]{1,12})[ \t]*(?:;|$)/.exec(line) ?? [];
      if (digits === undefined) throw new Error('the answer has a chunk without a size');
      this.#left = Number.parseInt(digits, 16);
      this.#state = this.#left === 0 ? 'trailer' : 'data';
    } else if (this.#state === 'data-end') {
      if (line !== '') throw new Error('the answer has a chunk that is longer than its size');
      this.#state = 'size';
    } else if (line === '') {
      this.#state = 'done';
    }
  }
}
