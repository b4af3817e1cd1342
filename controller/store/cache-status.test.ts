/** What the ImageCache says. */
import { findCondition } from '../../platform/kube/conditions.ts';
import { cacheStatus, type CacheView } from './cache-status.ts';

const GIB = 2 ** 30;
const NOW = Date.parse('2026-11-21T03:00:00Z');
const FITS: CacheView = {
  images: 12,
  imagesInUse: 3,
  lacking: [],
  capacity: { evict: [], heldBytes: 3 * GIB, excessBytes: 0 },
};

function conditionOf(view: CacheView, type: string): string {
  const { status, reason, message } = findCondition(cacheStatus({}, view, NOW).conditions, type) ?? {};
  return `${status} ${reason}: ${message}`;
}

describe('the ImageCache', () => {
  it('names what would not start without its registry', () => {
    expect(conditionOf(FITS, 'Complete')).toBe('True Cached: every image that pods use is in the cache');
    const lacking = ['a', 'b', 'c', 'd', 'e', 'f', 'g'].map((name) => `ghcr.io/acme/${name}:1`);
    expect(conditionOf({ ...FITS, imagesInUse: 9, lacking }, 'Complete')).toBe(
      'False Lacking: not in the cache: 7 of the 9 images that pods use: ghcr.io/acme/a:1, ghcr.io/acme/b:1, ' +
        'ghcr.io/acme/c:1, ghcr.io/acme/d:1, ghcr.io/acme/e:1 and 2 more',
    );
  });

  it.each<[string, Partial<CacheView>, string]>([
    ['has no limit', {}, 'True NoLimit: no limit is set'],
    ['fits', { limitBytes: 4 * GIB }, 'True Fits: the limit is 4 GiB'],
    [
      'is about to fit',
      { limitBytes: 2 * GIB, capacity: { evict: ['one'], heldBytes: 3 * GIB, excessBytes: 0 } },
      'True Evicting: unused images go until the cache takes no more than 2 GiB',
    ],
    [
      'cannot be made to fit',
      { limitBytes: 2 * GIB, capacity: { evict: [], heldBytes: 3 * GIB, excessBytes: GIB } },
      'False NothingMayGo: the cache holds 1 GiB more than its limit of 2 GiB, and nothing of it may go: ' +
        'all is used by pods, retained, or lost upstream',
    ],
  ])('tells when it %s', (_when, changes, expected) => {
    expect(conditionOf({ ...FITS, ...changes }, 'WithinLimit')).toBe(expected);
  });

  it('says the same again when nothing has changed', () => {
    const view = {
      ...FITS,
      lastCollection: { startedAt: '2026-11-21T02:00:00Z', seconds: 1, freedBytes: null },
    };
    const status = cacheStatus({}, view, NOW);
    expect(status.lastCollection).toEqual({ startedAt: '2026-11-21T02:00:00Z', seconds: 1 });
    expect(cacheStatus(status, view, NOW + 60_000)).toEqual(status);
  });
});
