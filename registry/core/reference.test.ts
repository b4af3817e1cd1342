import fc from 'fast-check';
import { arbitraryReference } from '../../test/fakes/arbitraries.ts';
import { formatReference, InvalidReference, parseReference } from './reference.ts';

const SHA = `sha256:${'0123456789abcdef'.repeat(4)}`;

describe('parseReference', () => {
  it.each([
    ['nginx', 'docker.io/library/nginx:latest'],
    ['nginx:1.27', 'docker.io/library/nginx:1.27'],
    ['acme/app', 'docker.io/acme/app:latest'],
    ['docker.io/nginx', 'docker.io/library/nginx:latest'],
    ['index.docker.io/acme/app:1', 'docker.io/acme/app:1'],
    ['GHCR.io/acme/app', 'ghcr.io/acme/app:latest'],
    ['localhost/app', 'localhost/app:latest'],
    ['localhost:5000/app', 'localhost:5000/app:latest'],
    ['reg.example.com:05000/a/b', 'reg.example.com:5000/a/b:latest'],
    [`nginx@${SHA}`, `docker.io/library/nginx@${SHA}`],
    [`nginx:1.27@${SHA}`, `docker.io/library/nginx:1.27@${SHA}`],
    ['10.0.0.1:5000/a', '10.0.0.1:5000/a:latest'],
    ['[::1]:5000/a', '[::1]:5000/a:latest'],
    ['[2001:DB8:0:0:0:0:0:1]/a', '[2001:db8::1]/a:latest'],
    ['a.b/c_d/e__f/g-h/i--j:X_y.z-1', 'a.b/c_d/e__f/g-h/i--j:X_y.z-1'],
  ])('normalises %s', (text, normalised) => {
    expect(formatReference(parseReference(text))).toBe(normalised);
  });

  it.each([
    ['', 'must not be empty'],
    ['Nginx', 'must be in lower case'],
    ['Acme/app', 'neither a lower-case repository nor a host'],
    ['nginx:', '"" is not a valid tag'],
    ['nginx:-x', 'is not a valid tag'],
    [`nginx:${'a'.repeat(129)}`, 'is not a valid tag'],
    ['nginx@sha256:abc', '64 lower-case hex digits'],
    [`nginx@md5:${'a'.repeat(32)}`, 'algorithm "md5" is not supported'],
    ['nginx@', 'is not a digest'],
    ['a.b:0/c', 'not a valid registry host'],
    ['a.b:65536/c', 'not a valid registry host'],
    ['-a.b/c', 'not a valid registry host'],
    ['[::g]/c', 'not a valid registry host'],
    ['[1.2.3.4]/c', 'not a valid registry host'],
    ['https://ghcr.io/acme/app', 'not a valid registry host'],
    ['ghcr.io//app', 'not a valid repository name'],
    ['ghcr.io/', 'not a valid repository name'],
    ['/app', 'not a valid repository name'],
    ['a..b', 'not a valid repository name'],
    ['a/../b', 'not a valid repository name'],
    ['nginx ', 'not a valid repository name'],
    [' nginx', 'not a valid repository name'],
    ['f'.repeat(64), 'image id'],
    [`a.b/${'c'.repeat(256)}`, 'at most 255 characters'],
    ['a'.repeat(1025), 'at most 1024 characters'],
    ['nginx\u0000', 'not a valid repository name'],
  ])('refuses %j', (text, message) => {
    expect(() => parseReference(text)).toThrow(InvalidReference);
    expect(() => parseReference(text)).toThrow(message);
  });

  it('gives frozen values that mean the same when read again', () => {
    fc.assert(
      fc.property(arbitraryReference, (reference) => {
        expect(parseReference(formatReference(reference))).toEqual(reference);
        expect(Object.isFrozen(parseReference(formatReference(reference)))).toBe(true);
      }),
      { numRuns: 2000 },
    );
  });

  it('answers every mutation of a reference with a stable reference or InvalidReference', () => {
    const mutated = fc
      .tuple(
        arbitraryReference.map(formatReference),
        fc.nat(),
        fc.nat(3),
        fc.string({ unit: 'binary', maxLength: 3 }),
      )
      .map(([text, at, removed, added]) => {
        const position = at % (text.length + 1);
        return text.slice(0, position) + added + text.slice(position + removed);
      });
    fc.assert(
      fc.property(fc.oneof(mutated, fc.string({ unit: 'binary' })), (text) => {
        try {
          const once = formatReference(parseReference(text));
          expect(formatReference(parseReference(once))).toBe(once);
        } catch (error) {
          expect(error).toBeInstanceOf(InvalidReference);
        }
      }),
      { numRuns: 5000 },
    );
  });
});
