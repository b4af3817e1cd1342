import fc from 'fast-check';
import { arbitraryCachedName } from '../../test/fakes/arbitraries.ts';
import { hideCapabilities } from '../../platform/redact.ts';
import { decodePulledName, encodeCachedName, type TenantName } from './cached-name.ts';
import {
  type CapabilityKey,
  formatCapabilityKeys,
  isCapabilityFor,
  makeCapability,
  parseCapabilityKeys,
  signingKey,
} from './capability.ts';

const DAY = 86_400_000;
const key = (fill: number, signsFrom = 0): CapabilityKey => ({ secret: Buffer.alloc(32, fill), signsFrom });
const APP: TenantName = { tenant: 'team-a', host: 'ghcr.io', repository: 'acme/app' };

describe('a capability', () => {
  it('is the same each time, so that admission may decide about its own result', () => {
    expect(makeCapability(APP, key(1))).toBe(makeCapability({ ...APP }, key(1)));
    expect(makeCapability(APP, key(1))).toMatch(/^[0-9a-v]{26}$/);
    expect(makeCapability(APP, key(1))).toBe('6in40mgtisep3h1lb3gf9e4d3v');
  });

  it('is good for its own name and no other, under the key that made it', () => {
    const capability = makeCapability(APP, key(1));
    const others: TenantName[] = [
      { ...APP, tenant: 'team-b' },
      { ...APP, host: 'ghcr.io:443' },
      { ...APP, repository: 'acme/app2' },
      { ...APP, repository: 'acme' },
    ];
    expect(isCapabilityFor(APP, capability, [key(2), key(1)])).toBe(true);
    expect(isCapabilityFor(APP, capability, [key(2)])).toBe(false);
    expect(isCapabilityFor(APP, capability, [])).toBe(false);
    for (const other of others) expect(isCapabilityFor(other, capability, [key(1)])).toBe(false);
  });

  it.each([undefined, '', '0', '0'.repeat(26), 'ö'.repeat(26), 'x'.repeat(100_000)])(
    'is not guessed: %.40s',
    (guess) => {
      expect(isCapabilityFor(APP, guess, [key(1)])).toBe(false);
    },
  );

  it('stands in the name of every image, and leaves it the same image', () => {
    fc.assert(
      fc.property(arbitraryCachedName, (name) => {
        fc.pre(name.tenant !== undefined);
        const tenants = { ...name, tenant: name.tenant };
        const capability = makeCapability(tenants, key(3));
        const path = encodeCachedName(name).replace('.tenant/', `.tenant.${capability}/`);
        fc.pre(path.length <= 255);
        expect(decodePulledName(path)).toEqual({ cached: name, capability });
      }),
      { numRuns: 1000 },
    );
  });
});

it('is hidden from logs', () => {
  const image = `localhost:7439/team-a.tenant.${makeCapability(APP, key(1))}/ghcr.io/acme/app:7`;
  expect(hideCapabilities(image)).toBe('localhost:7439/team-a.tenant/ghcr.io/acme/app:7');
});

describe('the key that signs', () => {
  const NOW = 40_000 * DAY;
  it.each([
    ['is the only one there is', [key(1, NOW)], 1],
    ['is the newest', [key(1, 0), key(2, NOW - 1)], 2],
    ['is the newest, in whatever order they stand', [key(2, NOW - 1), key(1, 0)], 2],
    ['is an older one until the time of the newest comes', [key(2, NOW + 1), key(1, 0)], 1],
    ['is the one that a wrong clock dated', [key(2, NOW + DAY + 1), key(1, 0)], 2],
    ['is the first of two as old', [key(2, 0), key(1, 0)], 2],
  ])('%s', (_, keys, wanted) => {
    expect(signingKey(keys, NOW)).toMatchObject({ secret: Buffer.alloc(32, wanted) });
  });

  it.each([
    ['there is none', []],
    ['the time of none has come: proxies may hold another', [key(1, NOW + 1)]],
  ])('is missing where %s', (_, keys) => {
    expect(signingKey(keys, NOW)).toBeUndefined();
  });
});

describe('keys in a Secret', () => {
  it('are read as they were written', () => {
    const keys = [key(1, 3 * DAY), key(2, DAY)];
    expect(parseCapabilityKeys(formatCapabilityKeys(keys))).toEqual(keys);
    expect(parseCapabilityKeys('')).toEqual([]);
  });

  it.each(['hunter2', '2026-01-01T00:00:00Z', '2026-01-01T00:00:00Z c2hvcnQ=', `never ${'A'.repeat(43)}=`])(
    'are read without a line that is anything else, of which the number is told: %s',
    (line) => {
      const lines: number[] = [];
      const keys = [key(1), key(2)];
      const [one, two] = keys.map((each) => formatCapabilityKeys([each]));
      expect(parseCapabilityKeys(`${one ?? ''}${line}\n${two ?? ''}`, (n) => lines.push(n))).toEqual(keys);
      expect(lines).toEqual([2]);
    },
  );
});
