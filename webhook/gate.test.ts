import { gateOf } from './gate.ts';

describe('the health gate', () => {
  it.each([
    [0, 0, 50, false],
    [2, 0, 50, false],
    [2, 1, 50, true],
    [3, 1, 50, false],
    [3, 3, 100, true],
    [3, 2, 100, false],
    [3, 0, 0, false],
    [3, 1, 0, true],
  ])('with %d proxies, %d of them ready, when %d %% have to be: open is %s', (all, ready, min, open) => {
    expect(gateOf({ all, ready }, min).open).toBe(open);
  });

  it('says why it is closed', () => {
    expect(gateOf({ all: 3, ready: 1 }, 50)).toEqual({
      open: false,
      message: '1 of 3 proxies are ready, at least 50 % must be',
    });
  });
});
