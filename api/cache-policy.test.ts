import fc from 'fast-check';
import { type CachePolicy, parseCachePolicy, policyFor } from './cache-policy.ts';

function policy(name: string, match: object, spec: object = {}): CachePolicy {
  return parseCachePolicy({ metadata: { name }, spec: { match, ...spec } });
}

const nginx = { host: 'docker.io', repository: 'library/nginx', namespaces: ['team-a', 'team-b'] };

describe('which policy applies', () => {
  const everything = policy('everything', {});
  const hub = policy('hub', { images: ['docker.io/*'] });
  const library = policy('library', { images: ['quay.io/*', 'docker.io/library/*'] });
  const teamA = policy('team-a', { namespaces: ['team-a'] });
  const libraryOfTeamA = policy('library-of-team-a', {
    images: ['docker.io/library/*'],
    namespaces: ['team-?'],
  });

  it.each([
    ['none when there is none', [], undefined],
    ['the one that matches everything', [everything], 'everything'],
    ['the more specific glob', [everything, hub, library], 'library'],
    ['whatever their order', [library, hub, everything], 'library'],
    ['an image glob before a namespace', [teamA, hub], 'hub'],
    ['a namespace before everything', [everything, teamA], 'team-a'],
    ['of equal image globs the one that names the namespace', [library, libraryOfTeamA], 'library-of-team-a'],
    ['of equals the first by name', [policy('b', {}), policy('a', {})], 'a'],
    ['not one for other images', [policy('other', { images: ['ghcr.io/*'] })], undefined],
    ['not one for other namespaces', [policy('other', { namespaces: ['team-c'] })], undefined],
    ['an empty list matches nothing', [policy('nothing', { images: [] })], undefined],
  ])('%s', (_what, policies, expected) => {
    expect(policyFor(policies, nginx)?.name).toBe(expected);
  });

  it('does not depend on the order of the policies', () => {
    const globs = fc.constantFrom('*', 'docker.io/*', 'docker.io/library/*', '*/library/nginx', 'quay.io/*');
    const match = fc.record(
      { images: fc.array(globs), namespaces: fc.array(fc.constantFrom('team-a', 'team-*', 'x')) },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(
        fc.array(match, { maxLength: 8 }),
        fc.array(fc.nat(), { minLength: 8, maxLength: 8 }),
        (matches, keys) => {
          const policies = matches.map((one, index) => policy(`p${index}`, one));
          const shuffled = policies
            .map((one, index) => ({ one, key: keys[index] ?? 0 }))
            .sort((a, b) => a.key - b.key)
            .map(({ one }) => one);
          expect(policyFor(shuffled, nginx)?.name).toBe(policyFor(policies, nginx)?.name);
        },
      ),
    );
  });
});

describe('what a policy says', () => {
  it('reads durations as milliseconds', () => {
    const { spec } = policy('p', {}, { freshFor: '30s', refreshEvery: '1h30m', expireAfter: '30d' });
    expect(spec).toMatchObject({ freshFor: 30_000, refreshEvery: 5_400_000, expireAfter: 2_592_000_000 });
  });

  it.each([
    [{ expireAfter: '30 days' }, /expireAfter: must be a duration, for example 30s/],
    [{ platforms: ['linux'] }, /platforms/],
    [{ tagPolicy: 'Sometimes' }, /tagPolicy/],
    [{ credentials: {} }, /secretName/],
  ])('tells what is wrong with %j', (spec, message) => {
    expect(() => policy('p', {}, spec)).toThrow(message);
  });
});
