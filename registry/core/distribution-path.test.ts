import fc from 'fast-check';
import { arbitraryDigest, arbitraryName, arbitraryTag } from '../../test/fakes/arbitraries.ts';
import { encodeCachedName } from './cached-name.ts';
import { type DistributionPath, formatDistributionPath, parseDistributionPath } from './distribution-path.ts';
import { RegistryError } from './errors.ts';

const DIGEST = `sha256:${'a'.repeat(64)}`;
const name = arbitraryName.map(encodeCachedName).filter((path) => path.length <= 255);

const arbitraryPath: fc.Arbitrary<DistributionPath> = fc.oneof(
  fc.constant({ kind: 'base' as const }),
  fc.record({ kind: fc.constant('manifest' as const), name, reference: fc.record({ tag: arbitraryTag }) }),
  fc.record({
    kind: fc.constant('manifest' as const),
    name,
    reference: fc.record({ digest: arbitraryDigest }),
  }),
  fc.record({ kind: fc.constantFrom('blob' as const, 'referrers' as const), name, digest: arbitraryDigest }),
  fc.record({ kind: fc.constant('tags' as const), name }),
);

describe('parseDistributionPath', () => {
  it('reads every path that can be built', () => {
    fc.assert(
      fc.property(arbitraryPath, (path) => {
        expect(parseDistributionPath(formatDistributionPath(path))).toEqual(path);
      }),
      { numRuns: 3000 },
    );
  });

  it.each([
    ['/v2', { kind: 'base' }],
    ['/v2/?n=1', { kind: 'base' }],
    ['/v2/a/tags/list?n=5', { kind: 'tags', name: 'a' }],
    ['/v2/tags/list/tags/list', { kind: 'tags', name: 'tags/list' }],
    ['/v2/a/manifests/b/manifests/c', { kind: 'manifest', name: 'a/manifests/b', reference: { tag: 'c' } }],
    [`/v2/a/blobs/${DIGEST.replace(':', '%3A')}`, { kind: 'blob', name: 'a', digest: DIGEST }],
  ])('reads %s', (text, expected) => {
    expect(parseDistributionPath(text)).toEqual(expected);
  });

  it.each([
    ['/', 404, 'UNSUPPORTED'],
    ['/v1/a/manifests/b', 404, 'UNSUPPORTED'],
    ['/v2/_catalog', 404, 'UNSUPPORTED'],
    ['/v2//manifests/b', 404, 'UNSUPPORTED'],
    ['/v2/a/blobs/uploads/', 404, 'UNSUPPORTED'],
    ['/v2/a/blobs/uploads', 404, 'UNSUPPORTED'],
    ['/v2/a/manifests/', 404, 'UNSUPPORTED'],
    ['/v2/a%2Fb/manifests/c', 400, 'NAME_INVALID'],
    ['/v2/../a/manifests/c', 400, 'NAME_INVALID'],
    ['/v2/a/../b/manifests/c', 400, 'NAME_INVALID'],
    ['/v2/a//b/manifests/c', 400, 'NAME_INVALID'],
    ['/v2/A/manifests/c', 400, 'NAME_INVALID'],
    ['/v2/a/manifests/..', 400, 'MANIFEST_INVALID'],
    ['/v2/a/manifests/%2e%2e', 400, 'MANIFEST_INVALID'],
    ['/v2/a/manifests/sha256:abc', 400, 'DIGEST_INVALID'],
    ['/v2/a/blobs/latest', 400, 'DIGEST_INVALID'],
    [`/v2/a/blobs/md5:${'a'.repeat(32)}`, 400, 'DIGEST_INVALID'],
    [`/v2/${'a/'.repeat(600)}manifests/c`, 400, 'NAME_INVALID'],
  ])('answers %s with %d %s', (text, status, code) => {
    expect(() => parseDistributionPath(text)).toThrow(expect.objectContaining({ status, code }) as Error);
  });

  it('answers anything with a path or a RegistryError of status 400 or 404', () => {
    const part = fc.oneof(
      fc.constantFrom(
        'v2',
        'a',
        'manifests',
        'blobs',
        'tags',
        'list',
        'referrers',
        'latest',
        DIGEST,
        '..',
        '%2F',
        '%3A',
        '',
      ),
      fc.string({ unit: 'binary', maxLength: 5 }),
    );
    fc.assert(
      fc.property(fc.array(part, { maxLength: 6 }), (parts) => {
        try {
          parseDistributionPath(`/v2/${parts.join('/')}`);
        } catch (error) {
          expect(error).toBeInstanceOf(RegistryError);
          expect([400, 404]).toContain((error as RegistryError).status);
        }
      }),
      { numRuns: 5000 },
    );
  });
});
