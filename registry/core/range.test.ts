import fc from 'fast-check';
import { formatContentRange, formatRange, parseContentRange, parseRange } from './range.ts';

describe('parseRange', () => {
  it.each([
    [undefined, { kind: 'whole' }],
    ['', { kind: 'whole' }],
    ['bytes=-', { kind: 'whole' }],
    ['bytes=5-2', { kind: 'whole' }],
    ['bytes=0-1,3-4', { kind: 'whole' }],
    ['lines=0-1', { kind: 'whole' }],
    ['bytes=a-b', { kind: 'whole' }],
    ['bytes=0-', { kind: 'range', start: 0, end: 9 }],
    ['bytes=0-0', { kind: 'range', start: 0, end: 0 }],
    ['Bytes= 2 - 4 ', { kind: 'range', start: 2, end: 4 }],
    ['bytes=2-100', { kind: 'range', start: 2, end: 9 }],
    ['bytes=-3', { kind: 'range', start: 7, end: 9 }],
    ['bytes=-30', { kind: 'range', start: 0, end: 9 }],
    ['bytes=-0', { kind: 'unsatisfiable' }],
    ['bytes=10-', { kind: 'unsatisfiable' }],
    ['bytes=9999999999999999-', { kind: 'unsatisfiable' }],
  ])('of ten bytes, %j', (header, expected) => {
    expect(parseRange(header, 10)).toEqual(expected);
  });

  it('of nothing is never satisfiable', () => {
    expect(parseRange('bytes=0-', 0)).toEqual({ kind: 'unsatisfiable' });
    expect(parseRange('bytes=-1', 0)).toEqual({ kind: 'unsatisfiable' });
  });

  it('stays within the content, whatever is asked for', () => {
    const header = fc.oneof(
      fc.string(),
      fc.tuple(fc.option(fc.nat(50)), fc.option(fc.nat(50))).map(([a, b]) => `bytes=${a ?? ''}-${b ?? ''}`),
    );
    fc.assert(
      fc.property(header, fc.nat(40), (text, size) => {
        const range = parseRange(text, size);
        if (range.kind !== 'range') return;
        expect(range.start).toBeGreaterThanOrEqual(0);
        expect(range.end).toBeGreaterThanOrEqual(range.start);
        expect(range.end).toBeLessThan(size);
        expect(parseContentRange(formatContentRange(range, size))).toEqual({
          start: range.start,
          end: range.end,
          size,
        });
      }),
      { numRuns: 3000 },
    );
  });
});

describe('parseContentRange', () => {
  it.each([
    ['bytes 0-4/10', { start: 0, end: 4, size: 10 }],
    ['bytes 0-4/*', { start: 0, end: 4 }],
    ['bytes */10', undefined],
    ['bytes 4-0/10', undefined],
    ['bytes 0-10/10', undefined],
    ['0-4/10', undefined],
    ['', undefined],
  ])('%j', (header, expected) => {
    expect(parseContentRange(header)).toEqual(expected);
  });

  it('is what a request for a range is answered with', () => {
    expect(formatRange(5)).toBe('bytes=5-');
    expect(formatRange(5, 9)).toBe('bytes=5-9');
    expect(formatContentRange(undefined, 10)).toBe('bytes */10');
  });
});
