import fc from 'fast-check';
import { type Challenge, parseChallenges } from './challenge.ts';

describe('parseChallenges', () => {
  it.each<[string, Challenge[]]>([
    ['', []],
    ['Basic', [{ scheme: 'basic', realm: '' }]],
    ['basic realm=x', [{ scheme: 'basic', realm: 'x' }]],
    [
      'Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push"',
      [
        {
          scheme: 'bearer',
          realm: 'https://auth.docker.io/token',
          service: 'registry.docker.io',
          scope: 'repository:a/b:pull,push',
        },
      ],
    ],
    [
      'Basic realm="a, b=\\"c\\"", Bearer realm="https://t.example/x?y=z", service = s',
      [
        { scheme: 'basic', realm: 'a, b="c"' },
        { scheme: 'bearer', realm: 'https://t.example/x?y=z', service: 's' },
      ],
    ],
    ['Negotiate YWJjZA==, Basic realm="r"', [{ scheme: 'basic', realm: 'r' }]],
    ['Bearer realm="first",realm="second"', [{ scheme: 'bearer', realm: 'first' }]],
    ['Bearer service="no realm"', []],
    ['realm="no scheme"', []],
    ['Basic realm="good", Bearer realm="unterminated', [{ scheme: 'basic', realm: 'good' }]],
  ])('reads %j', (header, challenges) => {
    expect(parseChallenges(header)).toEqual(challenges);
  });

  it('gives back every realm, service and scope that is quoted right', () => {
    const text = fc.string({ minLength: 1, maxLength: 30 });
    const quote = (value: string): string => `"${value.replaceAll(/["\\]/g, '\\$&')}"`;
    const bearer = fc.record({
      scheme: fc.constant('bearer' as const),
      realm: text,
      service: text,
      scope: text,
    });
    fc.assert(
      fc.property(fc.array(bearer, { maxLength: 3 }), (challenges) => {
        const header = challenges
          .map(
            ({ realm, service, scope }) =>
              `Bearer realm=${quote(realm)}, service=${quote(service)},scope=${quote(scope)}`,
          )
          .join(', ');
        expect(parseChallenges(header)).toEqual(challenges);
      }),
      { numRuns: 2000 },
    );
  });

  it('survives anything, in time that grows with its length only', () => {
    const parts = fc.constantFrom(
      'Bearer ',
      'Basic ',
      'realm=',
      '"',
      '\\',
      ',',
      ' ',
      '=',
      'x',
      '\t',
      '\u0000',
      'é',
    );
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.array(parts).map((list) => list.join('')),
        ),
        (header) => {
          for (const challenge of parseChallenges(header))
            expect(['basic', 'bearer']).toContain(challenge.scheme);
        },
      ),
      { numRuns: 5000 },
    );
    const began = performance.now();
    for (const hostile of ['Bearer a="', '\\"', ',', 'a=', 'a ']) parseChallenges(hostile.repeat(100_000));
    expect(performance.now() - began).toBeLessThan(1000);
  });
});
