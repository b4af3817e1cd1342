import { ownerOf, Placement, readyAddresses } from './placement.ts';

const REPLICAS = ['10.0.0.1', '10.0.0.2', '10.0.0.3'];
const REPOSITORIES = Array.from({ length: 3_000 }, (_, n) => `docker.io/library/image-${n}`);

describe('the replica that owns a repository', () => {
  it('is the same for everybody, in whatever order the replicas are known', () => {
    for (const repository of REPOSITORIES.slice(0, 100))
      expect(ownerOf(repository, REPLICAS.toReversed())).toBe(ownerOf(repository, REPLICAS));
  });

  it('is each of them about as often', () => {
    const owners = REPOSITORIES.map((repository) => ownerOf(repository, REPLICAS));
    for (const replica of REPLICAS) {
      const share = owners.filter((owner) => owner === replica).length / owners.length;
      expect(share).toBeGreaterThan(0.28);
      expect(share).toBeLessThan(0.39);
    }
  });

  it('stays when another one goes', () => {
    const [gone, ...left] = REPLICAS;
    for (const repository of REPOSITORIES) {
      const owner = ownerOf(repository, REPLICAS);
      if (owner !== gone) expect(ownerOf(repository, left)).toBe(owner);
    }
  });

  it('is nobody when none is known', () => {
    expect(ownerOf('docker.io/library/nginx', [])).toBeUndefined();
    const lonely = new Placement({ self: '10.0.0.1', port: 7441, replicas: () => [] });
    expect(lonely.elsewhere('docker.io/library/nginx')).toBeUndefined();
  });

  it('is named by its address, unless it is the one that is asked', () => {
    const replicas = (): string[] => ['fd00::1'];
    expect(new Placement({ self: 'fd00::2', port: 7441, replicas }).elsewhere('a/b')).toBe(
      'https://[fd00::1]:7441',
    );
    expect(new Placement({ self: 'fd00::1', port: 7441, replicas }).elsewhere('a/b')).toBeUndefined();
  });
});

describe('the replicas', () => {
  it('are those that are ready, and those of whom nobody says otherwise', () => {
    const slices = [
      {
        addressType: 'IPv4',
        endpoints: [
          { addresses: ['10.0.0.1'], conditions: { ready: true } },
          { addresses: ['10.0.0.2'], conditions: { ready: false, terminating: true } },
        ],
      },
      { addressType: 'IPv4', endpoints: [{ addresses: ['10.0.0.3'] }] },
      { addressType: 'IPv4' },
    ] as unknown as Parameters<typeof readyAddresses>[0];
    expect(readyAddresses(slices)).toEqual(['10.0.0.1', '10.0.0.3']);
  });
});
