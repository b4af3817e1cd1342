import { BuildProgress } from './build-progress.ts';

const PLAN = [
  { name: 'etcd', seconds: 60 },
  { name: 'kubernetes', seconds: 540 },
];
const MINUTE = 60_000;

describe('the progress of a build', () => {
  it('is announced with what it is about and the time that it takes', () => {
    expect(new BuildProgress(PLAN, 2, 0).announcement()).toBe(
      'first run: compiling etcd, kubernetes from source, 5 to 11 min on 2 processors; later runs find them in the cache',
    );
    const names = ['pause', 'cri', 'etcd', 'kubernetes'];
    const large = names.map((name) => ({ name, seconds: 60 }));
    expect(new BuildProgress(large, 16, 0).announcement()).toBe(
      'first run: compiling kubernetes and 3 others from source, about 1 min on 16 processors; later runs find them in the cache',
    );
  });

  it('begins with the estimate for the machine', () => {
    const progress = new BuildProgress(PLAN, 4, 0);
    progress.start('etcd');
    expect(progress.text(0)).toBe('0 % compiled (etcd, 1 of 2), 0:00 so far, about 5 min to go');
    expect(progress.text(MINUTE)).toBe('0 % compiled (etcd, 1 of 2), 1:00 so far, about 4 min to go');
  });

  it('weighs each program by its expected time, and follows the pace that is seen', () => {
    const progress = new BuildProgress(PLAN, 2, 0);
    progress.start('etcd');
    progress.finish();
    expect(progress.fraction()).toBeCloseTo(0.1);
    expect(progress.text(2 * MINUTE)).toBe(
      '10 % compiled (kubernetes, 2 of 2), 2:00 so far, about 18 min to go',
    );
  });

  it('counts packages within a program, and leaves time for linking', () => {
    const progress = new BuildProgress(PLAN, 2, 0);
    progress.expect('kubernetes', 1000);
    progress.start('kubernetes');
    progress.compiled(500);
    expect(progress.fraction()).toBeCloseTo(0.1 + 0.9 * 0.5 * 0.9);
    progress.compiled(1000);
    expect(progress.fraction()).toBeLessThan(1);
    progress.finish();
    expect(progress.fraction()).toBeCloseTo(1);
    expect(progress.conclusion(7 * MINUTE + 4_000)).toBe('compiled in 7:04 min');
  });

  it('stands still, but says so truly, while nothing is known of the packages', () => {
    const progress = new BuildProgress(PLAN, 2, 0);
    progress.start('kubernetes');
    progress.compiled(300);
    expect(progress.fraction()).toBeCloseTo(0.1);
  });
});
