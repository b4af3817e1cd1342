import fc from 'fast-check';
import type { TenantName } from '../../registry/core/cached-name.ts';
import { makeCapability } from '../../registry/core/capability.ts';
import { formatReference } from '../../registry/core/reference.ts';
import { arbitraryReference, arbitraryTenant } from '../../test/fakes/arbitraries.ts';
import { imageInCache, isTenantName, lacksCapability, originalImage } from './other-image.ts';

const PROXY = 'localhost:7439';
const KEY = { secret: Buffer.alloc(32, 1), signsFrom: 0 };
const OURS = { proxyHost: PROXY, capabilityOf: (name: TenantName) => makeCapability(name, KEY) };
const CAPABILITY = makeCapability({ tenant: 'team-a', host: 'ghcr.io', repository: 'acme/app' }, KEY);

describe('the original of an image that goes through the proxy', () => {
  it.each([
    ['localhost:7439/docker.io/library/nginx:1.27', undefined, 'docker.io/library/nginx:1.27'],
    ['localhost:7439/docker.io/library/nginx:1.27', 'nginx:1.27', 'nginx:1.27'],
    ['localhost:7439/team-a.tenant/ghcr.io/acme/app:7', undefined, 'ghcr.io/acme/app:7'],
    ['localhost:7439/reg.example.com-5000/a/b:1', undefined, 'reg.example.com:5000/a/b:1'],
  ])('%s, said to be %s, is %s', (image, claimed, original) => {
    expect(originalImage(image, claimed, PROXY)).toBe(original);
  });

  it('is not what a forged annotation says', () => {
    expect(originalImage('localhost:7439/docker.io/library/nginx:1.27', 'evil.example/miner', PROXY)).toBe(
      'docker.io/library/nginx:1.27',
    );
  });

  it.each(['nginx', 'localhost:5000/a/b', 'NOT an image', ''])('%j has none', (image) => {
    expect(originalImage(image, undefined, PROXY)).toBeUndefined();
  });
});

describe('a name that every proxy refuses', () => {
  it.each([
    ['a tenant’s without a capability', 'localhost:7439/team-a.tenant/ghcr.io/acme/app:7', true],
    ['with one of another namespace', `localhost:7439/team-b.tenant.${CAPABILITY}/ghcr.io/acme/app:7`, true],
    ['with its own', `localhost:7439/team-a.tenant.${CAPABILITY}/ghcr.io/acme/app:7`, false],
    [
      'with its own, by digest',
      `localhost:7439/team-a.tenant.${CAPABILITY}/ghcr.io/acme/app@sha256:${'0'.repeat(64)}`,
      false,
    ],
    ['a public one', 'localhost:7439/docker.io/library/nginx:1.27', false],
    ['one that is not ours', 'ghcr.io/acme/app:7', false],
    ['what is no image', 'NOT an image', false],
  ])('%s: %s is %s', (_, image, refused) => {
    expect(lacksCapability(image, PROXY, [KEY])).toBe(refused);
  });
});

it('no name is refused while no key is known', () => {
  expect(lacksCapability('localhost:7439/team-a.tenant/ghcr.io/acme/app:7', PROXY, [])).toBe(false);
});

it('whether a name is a tenant’s, its first component says', () => {
  expect(isTenantName('localhost:7439/team-a.tenant/ghcr.io/acme/app:7', PROXY)).toBe(true);
  expect(isTenantName(`localhost:7439/team-a.tenant.${CAPABILITY}/ghcr.io/acme/app:7`, PROXY)).toBe(true);
  expect(isTenantName('localhost:7439/docker.io/library/nginx:1.27', PROXY)).toBe(false);
  expect(isTenantName('ghcr.io/acme/app:7', PROXY)).toBe(false);
});

describe('the name of an image in the cache', () => {
  it('is what admission would have written', () => {
    expect(imageInCache('nginx:1.27', undefined, OURS)).toBe('localhost:7439/docker.io/library/nginx:1.27');
    expect(imageInCache('ghcr.io/acme/app:7', 'team-a', OURS)).toBe(
      `localhost:7439/team-a.tenant.${CAPABILITY}/ghcr.io/acme/app:7`,
    );
  });

  it('is never one that the proxies refuse, whatever stood there before', () => {
    fc.assert(
      fc.property(arbitraryReference, arbitraryTenant, (reference, tenant) => {
        const image = imageInCache(formatReference(reference), tenant, OURS);
        fc.pre(image !== undefined);
        expect(lacksCapability(image, PROXY, [KEY])).toBe(false);
      }),
    );
  });

  it('does not exist when it would be too long', () => {
    expect(imageInCache(`ghcr.io/${'a'.repeat(220)}:7`, 'team-a', OURS)).toBeUndefined();
  });

  it('does not exist for what is no image', () => {
    expect(imageInCache('NOT an image', undefined, OURS)).toBeUndefined();
  });
});
