import fc from 'fast-check';
import { decideRescue, type Plight } from './decide.ts';

const PATIENCE_MS = 30_000;
const OTHER = 'the/other:name';

function plight(changes: Partial<Plight> = {}): Plight {
  return {
    throughProxy: true,
    other: OTHER,
    node: 'node-1',
    proxyWorks: true,
    cached: false,
    upstreamDown: false,
    rescued: false,
    stuckMs: 0,
    ...changes,
  };
}

const helped = (changes: Partial<Plight>): string | undefined =>
  decideRescue(plight(changes), PATIENCE_MS)?.reason;

describe('a container whose cached image cannot be pulled', () => {
  it.each<[string, Partial<Plight>, string | undefined]>([
    ['gets the original at once where no proxy is ready', { proxyWorks: false }, 'OriginalImageRestored'],
    [
      'gets it too when the cache holds the image, for the cache is out of its reach',
      { proxyWorks: false, cached: true },
      'OriginalImageRestored',
    ],
    [
      'waits for a proxy when the cache alone has the image',
      { proxyWorks: false, cached: true, upstreamDown: true },
      undefined,
    ],
    ['is given some time when its proxy works', { stuckMs: PATIENCE_MS - 1 }, undefined],
    ['gets the original when that time is over', { stuckMs: PATIENCE_MS }, 'OriginalImageRestored'],
    ['keeps the cached one while the cache holds it', { stuckMs: PATIENCE_MS * 9, cached: true }, undefined],
  ])('%s', (_, changes, expected) => {
    expect(helped(changes)).toBe(expected);
  });
});

describe('a container whose original image cannot be pulled', () => {
  it.each<[string, Partial<Plight>, string | undefined]>([
    ['gets the cached one', { cached: true }, 'CachedImageUsed'],
    ['is left alone while the cache does not hold it', { cached: false }, undefined],
    ['is left alone where no proxy would serve it', { cached: true, proxyWorks: false }, undefined],
  ])('%s', (_, changes, expected) => {
    expect(helped({ throughProxy: false, ...changes })).toBe(expected);
  });
});

describe('a container whose name in the cache every proxy refuses', () => {
  const RENEWED = 'the/new:name';
  it.each<[string, Partial<Plight>, string | undefined]>([
    ['gets a new one at once', {}, 'CachedNameRenewed'],
    ['gets it though the cache holds the image', { cached: true }, 'CachedNameRenewed'],
    ['gets the original where no proxy is ready', { proxyWorks: false }, 'OriginalImageRestored'],
    ['is not helped twice', { rescued: true }, undefined],
  ])('%s', (_, changes, expected) => {
    const rescue = decideRescue(plight({ renewed: RENEWED, ...changes }), PATIENCE_MS);
    expect(rescue?.reason).toBe(expected);
    if (expected === 'CachedNameRenewed') expect(rescue?.image).toBe(RENEWED);
  });
});

const anyPlight = fc.record({
  throughProxy: fc.boolean(),
  other: fc.constant(OTHER),
  node: fc.constant('node-1'),
  proxyWorks: fc.boolean(),
  cached: fc.boolean(),
  upstreamDown: fc.boolean(),
  rescued: fc.boolean(),
  stuckMs: fc.nat(10 * PATIENCE_MS),
});

describe('whatever the plight', () => {
  it('nothing is helped twice, nor without another name for its image', () => {
    fc.assert(
      fc.property(anyPlight, (any) => {
        expect(decideRescue({ ...any, rescued: true }, PATIENCE_MS)).toBeUndefined();
        const { other, ...nameless } = any;
        expect(other).toBe(OTHER);
        expect(decideRescue(nameless, PATIENCE_MS)).toBeUndefined();
      }),
    );
  });

  it('nothing is sent to a proxy that does not work, or to a cache that does not hold it', () => {
    fc.assert(
      fc.property(anyPlight, (any) => {
        const rescue = decideRescue(any, PATIENCE_MS);
        if (rescue?.reason === 'CachedImageUsed')
          expect(any).toMatchObject({ cached: true, proxyWorks: true });
      }),
    );
  });
});
