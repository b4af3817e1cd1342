import fc from 'fast-check';
import { arbitraryReference, arbitraryTenant, arbitraryCachedName } from '../../test/fakes/arbitraries.ts';
import {
  cacheReference,
  decodeCachedName,
  encodeCachedName,
  originalOf,
  restoreImage,
  rewriteImage,
  storeTag,
} from './cached-name.ts';
import { isLoopback } from './host.ts';
import { formatReference, InvalidReference, isRepositoryName, isTag, parseReference } from './reference.ts';

const PROXY = 'localhost:7439';
describe('cached names', () => {
  it.each([
    ['nginx', 'docker.io/library/nginx'],
    ['reg.example.com:5000/a/b', 'reg.example.com-5000/a/b'],
    ['reg-5000/a', 'docker.io/reg-5000/a'],
    ['reg-1.local-5000/a', 'reg-1.local-5000_host/a'],
    ['reg.local-5000:5000/a', 'reg.local-5000-5000/a'],
    ['a.tenant/b/c', 'a.tenant_host/b/c'],
    ['a.tenant:80/b/c', 'a.tenant-80/b/c'],
    ['10.1.2.3:5000/a', '10.1.2.3-5000/a'],
    ['[::1]:5000/a', 'ipv6_0_0_0_0_0_0_0_1-5000/a'],
    ['[2001:db8::1]/a', 'ipv6_2001_db8_0_0_0_0_0_1/a'],
    ['localhost/a', 'localhost/a'],
  ])('writes %s as %s', (image, path) => {
    const { host, repository } = parseReference(image);
    expect(encodeCachedName({ host, repository })).toBe(path);
    expect(encodeCachedName({ tenant: 'team-a', host, repository })).toBe(`team-a.tenant/${path}`);
  });

  it('come back from every path as they were, and every path is a valid repository name', () => {
    fc.assert(
      fc.property(arbitraryCachedName, (name) => {
        const path = encodeCachedName(name);
        fc.pre(path.length <= 255);
        expect(isRepositoryName(path)).toBe(true);
        expect(decodeCachedName(path)).toEqual(name);
      }),
      { numRuns: 10_000 },
    );
  });

  it('never share a path', () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(arbitraryCachedName, { selector: (name) => JSON.stringify(name) }),
        (names) => {
          expect(new Set(names.map(encodeCachedName)).size).toBe(names.length);
        },
      ),
      { numRuns: 2000 },
    );
  });

  it.each([
    ['nginx', 'library/nginx'],
    ['redis-7', 'library/redis-7'],
    ['acme/app', 'acme/app'],
    ['acme/team/app', 'acme/team/app'],
  ])('understands %s, as kube-image-keeper 1.x wrote it', (path, repository) => {
    expect(decodeCachedName(path)).toEqual({ host: 'docker.io', repository });
  });

  it.each([
    'team-a.tenant/nginx',
    'team-a.tenant/acme/app',
    'a.b.tenant/docker.io/library/nginx',
    '-.tenant/docker.io/library/nginx',
    'reg.example.com-0/a',
    'reg.example.com-05000/a',
    'reg.example.com-65536/a',
    'reg.example.com_host/a',
    'foo_host/a',
    'foo_bar/a',
    'ipv6_0_0_0_0_0_0_1-5000/a',
    'ipv6_00_0_0_0_0_0_0_1-5000/a',
    'docker.io/',
    'docker.io//nginx',
    '../docker.io/nginx',
    'Docker.io/library/nginx',
    '',
  ])('refuses %j', (path) => {
    expect(() => decodeCachedName(path)).toThrow(InvalidReference);
  });

  it('answer any path with a name whose path is stable, or InvalidReference', () => {
    const paths = fc.oneof(
      fc.string(),
      fc.stringMatching(/^[a-z0-9._-]{1,12}(\/[a-z0-9._-]{1,8}){0,3}$/),
      fc.tuple(arbitraryCachedName.map(encodeCachedName), fc.nat()).map(([path, at]) => {
        const position = at % path.length;
        return path.slice(0, position) + path.slice(position + 1);
      }),
    );
    fc.assert(
      fc.property(paths, (path) => {
        try {
          const name = decodeCachedName(path);
          const canonical = encodeCachedName(name);
          fc.pre(canonical.length <= 255);
          expect(decodeCachedName(canonical)).toEqual(name);
        } catch (error) {
          if (!fc.PreconditionFailure.isFailure(error)) expect(error).toBeInstanceOf(InvalidReference);
        }
      }),
      { numRuns: 5000 },
    );
  });
});

describe('rewriting', () => {
  const CAPABILITY = '0'.repeat(26);
  const OURS = { proxyHost: PROXY, capabilityOf: () => CAPABILITY };

  it('is undone by restoring, with the tenant', () => {
    fc.assert(
      fc.property(arbitraryReference, fc.option(arbitraryTenant, { nil: undefined }), (reference, tenant) => {
        const rewritten = rewriteImage(reference, tenant, OURS);
        fc.pre(rewritten !== undefined);
        const restored = restoreImage(parseReference(rewritten), PROXY);
        expect(restored).toEqual(
          tenant === undefined ? { reference } : { reference, tenant, capability: CAPABILITY },
        );
      }),
      { numRuns: 2000 },
    );
  });

  it('leaves alone what would become too long', () => {
    const image = parseReference(`ghcr.io/${'a'.repeat(247)}`);
    expect(rewriteImage(image, undefined, OURS)).toBe(`${PROXY}/ghcr.io/${'a'.repeat(247)}:latest`);
    expect(rewriteImage(image, 'team', OURS)).toBeUndefined();
    expect(rewriteImage(parseReference(`ghcr.io/${'a'.repeat(248)}`), undefined, OURS)).toBeUndefined();
  });

  it('does not take other local registries for ours', () => {
    expect(restoreImage(parseReference('localhost:5000/docker.io/library/nginx'), PROXY)).toBeUndefined();
    expect(restoreImage(parseReference('localhost/docker.io/library/nginx'), PROXY)).toBeUndefined();
  });
});

describe('the original of an image', () => {
  it.each([
    ['docker.io/library/nginx:1', 'nginx:1'],
    ['docker.io/library/nginx:1', `${PROXY}/docker.io/library/nginx:1`],
    [
      'docker.io/library/nginx:1',
      `${PROXY}/team-b.tenant/localhost-7439/team-a.tenant/docker.io/library/nginx:1`,
    ],
  ])('is %s for %s', (original, image) => {
    expect(formatReference(originalOf(parseReference(image), PROXY))).toBe(original);
  });

  it('is the very same object when the image is not one of ours', () => {
    const image = parseReference('ghcr.io/acme/app:7');
    expect(originalOf(image, PROXY)).toBe(image);
  });

  it.each([
    ['localhost', true],
    ['localhost:5000', true],
    ['127.0.0.1:5000', true],
    ['[::1]:5000', true],
    ['localhost.example.com', false],
    ['10.0.0.1:5000', false],
  ])('is on the node itself at %s: %s', (host, expected) => {
    expect(isLoopback(host)).toBe(expected);
  });
});

describe('references in the store', () => {
  it('have the tag of the image, or an anchor of ours for a digest', () => {
    fc.assert(
      fc.property(arbitraryReference, (reference) => {
        const tag = storeTag(reference);
        expect(isTag(tag)).toBe(true);
        expect(tag.startsWith('larder-sha')).toBe(reference.digest !== undefined);
      }),
    );
  });

  it('drop a tag that stands beside a digest', () => {
    const digest = `sha256:${'a'.repeat(64)}`;
    const pinned = cacheReference(parseReference(`nginx:1@${digest}`));
    expect(formatReference(pinned)).toBe(`docker.io/library/nginx@${digest}`);
    expect(storeTag(pinned)).toBe(`larder-sha256-${'a'.repeat(64)}`);
  });
});
