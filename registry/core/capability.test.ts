import fc from 'fast-check';
import { arbitraryCachedName } from '../../test/fakes/arbitraries.ts';
import { decodePulledName, encodeCachedName, hideCapabilities, type TenantName } from './cached-name.ts';
import {
  type CapabilityKey,
  formatCapabilityKeys,
  isCapabilityFor,
  makeCapability,
  parseCapabilityKeys,
  signingKey,
} from './capability.ts';

const DAY = 86_400_000;
const key = (fill: number, madeAt = 0): CapabilityKey => ({ secret: Buffer.alloc(32, fill), madeAt });
const APP: TenantName = { tenant: 'team-a', host: 'ghcr.io', repository: 'acme/app' };

describe('a capability', () => {
  it('is the same each time, so that admission may decide about its own result', () => {
    expect(makeCapability(APP, key(1))).toBe(makeCapability({ ...APP }, key(1)));
    expect(makeCapability(APP, key(1))).toMatch(/^[0-9a-v]{26}$/);
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

it('is hidden from those who only read about an image', () => {
  const capability = makeCapability(APP, key(1));
  expect(
    hideCapabilities(
      `a localhost:7439/team-a.tenant.${capability}/ghcr.io/acme/app:7 b /v2/x.tenant.${capability}/y`,
    ),
  ).toBe('a localhost:7439/team-a.tenant/ghcr.io/acme/app:7 b /v2/x.tenant/y');
  expect(hideCapabilities('localhost:7439/docker.io/library/nginx:1')).toBe(
    'localhost:7439/docker.io/library/nginx:1',
  );
});

describe('the key that signs', () => {
  const settleMs = 10;
  it.each([
    ['is the only one there is, at once', [key(1, 100)], 100, 1],
    ['is the newest', [key(1, 0), key(2, 50)], 100, 2],
    ['is the newest, in whatever order they stand', [key(2, 50), key(1, 0)], 100, 2],
    ['is an older one until the newest has arrived everywhere', [key(2, 95), key(1, 0)], 100, 1],
    ['is the oldest when none has', [key(2, 99), key(1, 95)], 100, 1],
  ])('%s', (_, keys, now, wanted) => {
    expect(signingKey(keys, { now, settleMs })).toMatchObject({ secret: Buffer.alloc(32, wanted) });
  });

  it('is missing where there is none', () => {
    expect(() => signingKey([], { now: 0, settleMs })).toThrow('there is no key');
  });
});

describe('keys in a Secret', () => {
  it('are read as they were written', () => {
    const keys = [key(1, 3 * DAY), key(2, DAY)];
    expect(parseCapabilityKeys(formatCapabilityKeys(keys))).toEqual(keys);
    expect(parseCapabilityKeys('')).toEqual([]);
  });

  it.each(['hunter2', '2026-01-01T00:00:00Z', '2026-01-01T00:00:00Z c2hvcnQ=', `never ${'A'.repeat(43)}=`])(
    'are refused, and not repeated, when they are anything else: %s',
    (line) => {
      expect(() => parseCapabilityKeys(`${formatCapabilityKeys([key(1)])}${line}\n`)).toThrow(
        /^line 2 is not a capability key$/,
      );
    },
  );
});
