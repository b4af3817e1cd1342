/**
 * Byte ranges: the Range header of a request, and Content-Range, parsed and formatted (RFC 9110 section 14).
 */

/** Positions in bytes from the start. As in the headers, `end` is the last byte of the range. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

export type RangeRequest =
  | { readonly kind: 'whole' }
  | ({ readonly kind: 'range' } & ByteRange)
  /** The response is 416 with `Content-Range: bytes *\/size`. */
  | { readonly kind: 'unsatisfiable' };

const WHOLE: RangeRequest = { kind: 'whole' };
const RANGE = /^bytes=\s{0,8}(\d{0,16})\s{0,8}-\s{0,8}(\d{0,16})\s{0,8}$/i;
const CONTENT_RANGE = /^bytes\s+(\d{1,16})-(\d{1,16})\/(\d{1,16}|\*)$/i;

/** Ignores a header that is malformed, has another unit or several ranges, as the RFC allows. */
export function parseRange(header: string | undefined, size: number): RangeRequest {
  const [, first = '', last = ''] = RANGE.exec(header ?? '') ?? [];
  if (first === '' && last === '') return WHOLE;
  if (first === '') {
    const length = Math.min(Number(last), size);
    return length === 0 ? { kind: 'unsatisfiable' } : { kind: 'range', start: size - length, end: size - 1 };
  }
  const start = Number(first);
  if (last !== '' && Number(last) < start) return WHOLE;
  if (start >= size) return { kind: 'unsatisfiable' };
  return { kind: 'range', start, end: last === '' ? size - 1 : Math.min(Number(last), size - 1) };
}

/** The Range header; without an end, for everything from `start` on. */
export function formatRange(start: number, end?: number): string {
  return `bytes=${start}-${end ?? ''}`;
}

export interface ContentRange extends ByteRange {
  /** Undefined when the sender does not know it. */
  readonly size?: number;
}

export function parseContentRange(header: string): ContentRange | undefined {
  const [, first = '', last = '', total = ''] = CONTENT_RANGE.exec(header.trim()) ?? [];
  if (first === '') return undefined;
  const [start, end, size] = [Number(first), Number(last), Number(total)];
  if (end < start || size <= end) return undefined;
  return total === '*' ? { start, end } : { start, end, size };
}

/** Without a range: for a request whose range cannot be satisfied. */
export function formatContentRange(range: ByteRange | undefined, size: number): string {
  return range === undefined ? `bytes */${size}` : `bytes ${range.start}-${range.end}/${size}`;
}
