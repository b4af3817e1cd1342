import fc from 'fast-check';
import { arbitraryReference, arbitraryTenant } from '../test/fakes/arbitraries.ts';
import { cacheReference } from '../registry/core/cached-name.ts';
import { formatReference, parseReference } from '../registry/core/reference.ts';
import { cachedImageName } from './names.ts';

describe('cachedImageName', () => {
  it.each([
    ['nginx:1.27', undefined, /^nginx-1\.27-[0-9a-f]{16}$/],
    ['ghcr.io/acme/my_app:7', 'team-a', /^team-a-my-app-7-[0-9a-f]{16}$/],
    [`nginx:1@sha256:${'ab'.repeat(32)}`, undefined, /^nginx-sha256-abababababab-[0-9a-f]{16}$/],
    [`a.b/${'c'.repeat(200)}`, undefined, /^c{46}-[0-9a-f]{16}$/],
  ])('of %s (%s) can be read', (image, tenant, expected) => {
    expect(cachedImageName(parseReference(image), tenant)).toMatch(expected);
  });

  it('is always a valid object name and label value', () => {
    fc.assert(
      fc.property(arbitraryReference, fc.option(arbitraryTenant, { nil: undefined }), (reference, tenant) => {
        const name = cachedImageName(reference, tenant);
        expect(name.length).toBeLessThanOrEqual(63);
        expect(name).toMatch(/^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/);
      }),
      { numRuns: 3000 },
    );
  });

  it('is shared by no two references, nor by two tenants', () => {
    const selector = (reference: ReturnType<typeof parseReference>): string =>
      formatReference(cacheReference(reference));
    fc.assert(
      fc.property(fc.uniqueArray(arbitraryReference, { selector }), (references) => {
        const names = references.flatMap((reference) => [
          cachedImageName(reference),
          cachedImageName(reference, 'a'),
          cachedImageName(reference, 'b'),
        ]);
        expect(new Set(names).size).toBe(names.length);
      }),
    );
  });
});
