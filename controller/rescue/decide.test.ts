import fc from 'fast-check';
import { decideRescue, type Plight, type Rescue } from './decide.ts';

const PATIENCE_MS = 30_000;
const OTHER = 'the/other:name';

function plight(changes: Partial<Plight> = {}): Plight {
  return {
    throughProxy: true,
    refusedByProxies: false,
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

/** The plight of a container that was helped: a new name in the cache is good, and counts as no rescue. */
function after(before: Plight, rescue: Rescue | undefined): Plight {
  const { renewed, ...rest } = before;
  const kept = { ...rest, refusedByProxies: false };
  if (rescue === undefined) return before;
  if (renewed === rescue.image) return kept;
  return { ...kept, throughProxy: !before.throughProxy, rescued: true };
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
    ['gets it though it was rescued before', { rescued: true }, 'CachedNameRenewed'],
    ['gets the original where no proxy is ready', { proxyWorks: false }, 'OriginalImageRestored'],
    [
      'waits for a proxy when the cache alone has the image',
      { proxyWorks: false, cached: true, upstreamDown: true },
      undefined,
    ],
  ])('%s', (_, changes, expected) => {
    const rescue = decideRescue(
      plight({ refusedByProxies: true, renewed: RENEWED, ...changes }),
      PATIENCE_MS,
    );
    expect(rescue?.reason).toBe(expected);
    if (expected === 'CachedNameRenewed') expect(rescue?.image).toBe(RENEWED);
  });

  it.each<[string, Partial<Plight>, string | undefined]>([
    ['gets the original when it can have no new one', {}, 'OriginalImageRestored'],
    [
      'gets it though the cache holds the image',
      { cached: true, upstreamDown: true },
      'OriginalImageRestored',
    ],
    ['is not given the original twice', { rescued: true }, undefined],
  ])('%s', (_, changes, expected) => {
    expect(helped({ refusedByProxies: true, ...changes })).toBe(expected);
  });
});

/** What may change while a container waits. */
const anyWeather = fc.record({
  proxyWorks: fc.boolean(),
  cached: fc.boolean(),
  upstreamDown: fc.boolean(),
  stuckMs: fc.nat(10 * PATIENCE_MS),
});

const anyPlight: fc.Arbitrary<Plight> = fc
  .tuple(
    anyWeather,
    fc.record({ throughProxy: fc.boolean(), rescued: fc.boolean() }),
    fc.constantFrom({}, { refusedByProxies: true }, { refusedByProxies: true, renewed: 'the/new:name' }),
  )
  .map(([weather, { throughProxy, rescued }, refusal]) =>
    plight({ ...weather, throughProxy, rescued, ...(throughProxy ? refusal : {}) }),
  );

const isRenewal = (rescue: Rescue | undefined): boolean => rescue?.reason === 'CachedNameRenewed';

describe('whatever the plight', () => {
  it('nothing but its name is changed twice, nor without another name for its image', () => {
    fc.assert(
      fc.property(anyPlight, (any) => {
        const again = decideRescue({ ...any, rescued: true }, PATIENCE_MS);
        expect(again === undefined || isRenewal(again)).toBe(true);
        const { other, ...nameless } = any;
        expect(other).toBe(OTHER);
        const helpedNameless = decideRescue(nameless, PATIENCE_MS);
        expect(helpedNameless === undefined || isRenewal(helpedNameless)).toBe(true);
      }),
    );
  });

  it('a new name is given only for one that is refused, where a proxy works', () => {
    fc.assert(
      fc.property(anyPlight, (any) => {
        if (isRenewal(decideRescue(any, PATIENCE_MS)))
          expect(any).toMatchObject({ refusedByProxies: true, proxyWorks: true, throughProxy: true });
      }),
    );
  });

  it('a new name takes no later help away', () => {
    fc.assert(
      fc.property(anyPlight, anyWeather, (any, later) => {
        fc.pre(isRenewal(decideRescue(any, PATIENCE_MS)));
        const neverRefused = plight({ ...later, rescued: any.rescued });
        const renewed = after(any, decideRescue(any, PATIENCE_MS));
        expect(decideRescue({ ...renewed, ...later }, PATIENCE_MS)).toEqual(
          decideRescue(neverRefused, PATIENCE_MS),
        );
      }),
    );
  });

  it('nothing alternates: one change of image at most, and one new name for every time that names become void', () => {
    const anyDay = fc.record({ weather: anyWeather, keysDeleted: fc.boolean() });
    fc.assert(
      fc.property(anyPlight, fc.array(anyDay, { maxLength: 60 }), (start, days) => {
        let now = start;
        let voided = start.refusedByProxies ? 1 : 0;
        const given: Rescue[] = [];
        for (const { weather, keysDeleted } of days) {
          const refused = keysDeleted && now.throughProxy;
          if (refused) voided += 1;
          now = {
            ...now,
            ...weather,
            ...(refused ? { refusedByProxies: true, renewed: 'the/new:name' } : {}),
          };
          const rescue = decideRescue(now, PATIENCE_MS);
          if (rescue === undefined) continue;
          given.push(rescue);
          now = after(now, rescue);
        }
        expect(given.filter(isRenewal).length).toBeLessThanOrEqual(voided);
        expect(given.filter((rescue) => !isRenewal(rescue)).length).toBeLessThanOrEqual(
          start.rescued ? 0 : 1,
        );
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
