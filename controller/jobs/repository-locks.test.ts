import { RepositoryLocks } from './repository-locks.ts';

describe('a repository of the store', () => {
  it('is shared by copies, and nothing is removed from it before the last has ended', () => {
    const locks = new RepositoryLocks();
    const [first, second] = [locks.takeForCopy('a'), locks.takeForCopy('a')];
    first?.();
    expect([locks.isCopying('a'), locks.takeForRemoval(['b', 'a'])]).toEqual([true, undefined]);
    second?.();
    expect(locks.isCopying('a')).toBe(false);
    expect(locks.takeForRemoval(['b', 'a'])).toBeDefined();
  });

  it('is not copied into while something is removed from it, and copies hear when that has ended', () => {
    const locks = new RepositoryLocks();
    let ended = 0;
    locks.onRemovalEnd(() => {
      ended += 1;
    });
    const removal = locks.takeForRemoval(['a', 'a']);
    expect([locks.takeForCopy('a'), locks.takeForRemoval(['a'])]).toEqual([undefined, undefined]);
    expect(locks.takeForCopy('b')).toBeDefined();
    removal?.();
    expect(ended).toBe(1);
    expect(locks.takeForCopy('a')).toBeDefined();
  });
});
