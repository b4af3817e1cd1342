import { quantile, since } from './histogram.ts';

const before = new Map([
  [0.005, 10],
  [0.025, 10],
  [Infinity, 10],
]);
const now = new Map([
  [0.005, 100],
  [0.025, 110],
  [Infinity, 110],
]);

it('a quantile lies within its bucket, of what was counted in between', () => {
  const counts = since(before, now);
  expect(quantile(0.9, counts)).toBeCloseTo(0.005);
  expect(quantile(0.95, counts)).toBeCloseTo(0.015);
  expect(quantile(1, counts)).toBeCloseTo(0.025);
});

it('there is none of nothing', () => {
  expect(quantile(0.99, new Map())).toBeNaN();
  expect(quantile(0.99, since(now, now))).toBeNaN();
});
