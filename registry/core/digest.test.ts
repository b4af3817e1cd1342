import fc from 'fast-check';
import { createDigester, digestOf, InvalidDigest, isDigest, parseDigest, verifyDigest } from './digest.ts';

describe('parseDigest', () => {
  it('accepts the digests of any content, of both algorithms', () => {
    fc.assert(
      fc.property(
        fc.uint8Array(),
        fc.constantFrom('sha256' as const, 'sha512' as const),
        (bytes, algorithm) => {
          const digest = digestOf(bytes, algorithm);
          expect(parseDigest(digest)).toBe(digest);
        },
      ),
    );
  });

  it.each([
    ['', 'is not a digest'],
    ['latest', 'is not a digest'],
    [`md5:${'a'.repeat(32)}`, 'algorithm "md5" is not supported'],
    [`constructor:${'a'.repeat(64)}`, 'algorithm "constructor" is not supported'],
    [`sha256:${'A'.repeat(64)}`, 'lower-case hex'],
    [`sha256:${'a'.repeat(63)}`, '64 lower-case hex'],
    [`sha256:${'a'.repeat(64)}\n`, 'is not a digest'],
  ])('refuses %j', (text, message) => {
    expect(() => parseDigest(text)).toThrow(InvalidDigest);
    expect(() => parseDigest(text)).toThrow(message);
  });

  it('answers any text with a digest or InvalidDigest', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        expect(isDigest(text)).toBe(/^sha256:[0-9a-f]{64}$|^sha512:[0-9a-f]{128}$/.test(text));
      }),
      { numRuns: 2000 },
    );
  });
});

describe('digester', () => {
  it('verifies content however it is cut into chunks', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array()), (chunks) => {
        const digester = createDigester(digestOf(Buffer.concat(chunks)));
        for (const chunk of chunks) digester.update(chunk);
        digester.verify();
        expect(digester.size).toBe(Buffer.concat(chunks).byteLength);
      }),
    );
  });

  it('tells content that differs in a single bit', () => {
    const digest = digestOf(Buffer.from('larder'));
    const mismatch = expect.objectContaining({ reason: 'DigestMismatch', retryable: true }) as unknown;
    const digester = createDigester(digest);
    digester.update(Buffer.from('lardes'));
    expect(() => {
      digester.verify();
    }).toThrow(mismatch as Error);
    expect(() => {
      verifyDigest(Buffer.from('lardes'), digest);
    }).toThrow(mismatch as Error);
  });
});
