import { findCondition, isTrue, setCondition } from './conditions.ts';

const ready = {
  type: 'Ready',
  status: 'False' as const,
  reason: 'Copying',
  message: '1 of 3',
  observedGeneration: 1,
};

describe('setting a condition', () => {
  const first = setCondition([], ready, 1_000);

  it('adds it with the time', () => {
    expect(first).toEqual([{ ...ready, lastTransitionTime: '1970-01-01T00:00:01Z' }]);
  });

  it('moves the time of transition only with the status', () => {
    const progress = setCondition(first, { ...ready, message: '2 of 3' }, 5_000);
    expect(findCondition(progress, 'Ready')).toMatchObject({
      message: '2 of 3',
      lastTransitionTime: '1970-01-01T00:00:01Z',
    });
    const done = setCondition(progress, { ...ready, status: 'True', reason: 'Cached', message: '' }, 9_000);
    expect(findCondition(done, 'Ready')?.lastTransitionTime).toBe('1970-01-01T00:00:09Z');
    expect([isTrue(progress, 'Ready'), isTrue(done, 'Ready'), isTrue(undefined, 'Ready')]).toEqual([
      false,
      true,
      false,
    ]);
  });

  it('gives the same list back when nothing changes, and leaves others alone', () => {
    expect(setCondition(first, ready, 9_000)).toBe(first);
    const both = setCondition(first, { ...ready, type: 'UpstreamAvailable' }, 2_000);
    expect(both.map(({ type }) => type)).toEqual(['Ready', 'UpstreamAvailable']);
    expect(both[0]).toBe(first[0]);
  });
});
