import { inspect } from 'node:util';
import fc from 'fast-check';
import { matchCredentials, parsePullSecret } from './credentials.ts';
import { globMatches } from './glob.ts';
import { parseReference } from './reference.ts';

const auth = (user: string): { auth: string } => ({ auth: Buffer.from(`${user}:secret`).toString('base64') });

/** Users whose credentials would be tried for an image, in order. */
function usersFor(image: string, ...locations: string[]): string[] {
  const auths = Object.fromEntries(locations.map((location) => [location, auth(location)]));
  const entries = parsePullSecret('kubernetes.io/dockerconfigjson', JSON.stringify({ auths }));
  return matchCredentials(entries, parseReference(image)).map(({ username }) => username);
}

describe('matching as the kubelet does', () => {
  it.each([
    ['ghcr.io/acme/app', 'ghcr.io'],
    ['ghcr.io/acme/app', 'https://ghcr.io'],
    ['ghcr.io/acme/app', 'GHCR.io'],
    ['ghcr.io/acme/app', 'ghcr.io/acme'],
    ['ghcr.io/acme/app', 'https://ghcr.io/v2/'],
    ['reg.example.com:5000/a', 'reg.example.com:5000'],
    ['reg.example.com:5000/a', 'http://reg.example.com:5000/v1/'],
    ['reg.example.com/a', '*.example.com'],
    ['reg.example.com/a', 'r?g.ex[a-z]mple.com'],
    ['reg.eu.example.com/a', '*.*.example.com'],
    ['nginx', 'docker.io'],
    ['nginx', 'index.docker.io'],
    ['nginx', 'https://index.docker.io/v1/'],
    ['[::1]:5000/a', '[::1]:5000'],
  ])('%s is read with the credential for %s', (image, location) => {
    expect(usersFor(image, location)).toHaveLength(1);
  });

  it.each([
    ['ghcr.io/acme/app', 'ghcr.io/other'],
    ['ghcr.io/acme/app', 'ghcr.io:443'],
    ['ghcr.io/acme/app', 'evilghcr.io'],
    ['ghcr.io.evil.example/acme/app', 'ghcr.io'],
    ['reg.example.com:5000/a', 'reg.example.com'],
    ['reg.eu.example.com/a', '*.example.com'],
    ['example.com/a', '*.example.com'],
    ['quay.io/a', 'index.docker.io'],
    ['reg.example.com/a', '[.example.com'],
  ])('%s is not read with the credential for %s', (image, location) => {
    expect(usersFor(image, location)).toEqual([]);
  });

  it('tries the most specific first', () => {
    const users = usersFor('ghcr.io/acme/app', 'ghcr.io', 'ghcr.io/acme/app', '*.io', 'ghcr.io/acme');
    expect(users).toEqual(['ghcr.io/acme/app', 'ghcr.io/acme', 'ghcr.io', '*.io']);
  });
});

describe('parsePullSecret', () => {
  it('reads the old format, plain fields and identity tokens', () => {
    const text = JSON.stringify({
      'a.example': { username: 'u', password: 'p:q' },
      'b.example': { auth: Buffer.from('u:p:q').toString('base64') },
      'c.example': { auth: Buffer.from('u:').toString('base64'), identitytoken: 'refresh' },
      'd.example': {},
    });
    expect(parsePullSecret('kubernetes.io/dockercfg', text)).toEqual([
      { pattern: 'a.example', credential: { username: 'u', password: 'p:q' } },
      { pattern: 'b.example', credential: { username: 'u', password: 'p:q' } },
      { pattern: 'c.example', credential: { username: 'u', password: '', identityToken: 'refresh' } },
    ]);
  });

  it.each([
    '',
    'hunter2',
    '[]',
    '{"auths":{"ghcr.io":"hunter2"}}',
    '{"auths":{"ghcr.io":{"auth":["hunter2"]}}}',
  ])('refuses %j without telling what it holds', (text) => {
    let thrown: unknown;
    try {
      parsePullSecret('kubernetes.io/dockerconfigjson', text);
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toMatchObject({ name: 'RegistryError', reason: 'Invalid' });
    expect(inspect(thrown)).not.toContain('hunter2');
  });
});

describe('globMatches', () => {
  it('matches any text against itself and against stars', () => {
    const plain = fc.string({ unit: fc.constantFrom('a', 'b', '.', '-', '1') });
    fc.assert(
      fc.property(plain, plain, (a, b) => {
        expect(globMatches(a, a)).toBe(true);
        expect(globMatches('*', a)).toBe(true);
        expect(globMatches(`${a}*`, a + b)).toBe(true);
        expect(globMatches(`*${b}`, a + b)).toBe(true);
        expect(globMatches(a, b)).toBe(a === b);
      }),
      { numRuns: 2000 },
    );
  });

  it.each([
    ['[ab]c', 'bc', true],
    ['[^ab]c', 'bc', false],
    ['a\\*', 'a*', true],
    ['a\\*', 'ab', false],
    ['[', '[', false],
    ['a]', 'a]', false],
  ])('%s with %s: %s', (pattern, text, matches) => {
    expect(globMatches(pattern, text)).toBe(matches);
  });

  it('is not slowed down by hostile patterns', () => {
    const began = performance.now();
    expect(globMatches(`${'*a'.repeat(200)}b`, 'a'.repeat(2000))).toBe(false);
    expect(performance.now() - began).toBeLessThan(1000);
  });
});
