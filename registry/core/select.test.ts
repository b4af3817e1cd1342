import { testImage, testIndex } from '../../test/fakes/images.ts';
import type { Descriptor, ImageIndex } from './manifest.ts';
import { formatPlatform, parsePlatform, platformMatches } from './platform.ts';
import { selectChildren } from './select.ts';

function indexOf(...platforms: string[]): ImageIndex {
  const { manifest } = testIndex(
    Object.fromEntries(platforms.map((name) => [name, testImage([name], name)])),
  ).root;
  if (manifest.kind !== 'index') throw new Error('not an index');
  return manifest;
}

function child(index: ImageIndex, at: number): Descriptor {
  const found = index.manifests[at];
  if (found === undefined) throw new Error(`no child ${at}`);
  return found;
}

const attestation = (of: ImageIndex, at: number): Descriptor => ({
  mediaType: 'application/vnd.oci.image.manifest.v1+json',
  digest: testImage([`attestation of ${at}`]).root.digest,
  size: 1,
  platform: { os: 'unknown', architecture: 'unknown' },
  annotations: {
    'vnd.docker.reference.type': 'attestation-manifest',
    'vnd.docker.reference.digest': child(of, at).digest,
  },
  foreign: false,
});

describe('parsePlatform', () => {
  it.each([
    ['linux/amd64', 'linux/amd64'],
    ['linux/x86_64', 'linux/amd64'],
    ['linux/amd64/v1', 'linux/amd64'],
    ['Linux/aarch64/v8', 'linux/arm64'],
    ['linux/arm/v6', 'linux/arm/v6'],
    ['windows/amd64', 'windows/amd64'],
  ])('normalises %s', (text, normalised) => {
    expect(formatPlatform(parsePlatform(text))).toBe(normalised);
  });

  it.each(['', 'linux', 'linux/', '/amd64', 'linux/arm/v7/x', 'linux/am d64', 'linux//v7'])(
    'refuses %j',
    (text) => {
      expect(() => parsePlatform(text)).toThrow('is not a platform');
    },
  );
});

describe('platformMatches', () => {
  it.each([
    ['linux/amd64', 'linux/amd64', true],
    ['linux/amd64', 'linux/amd64/v3', true],
    ['linux/amd64/v2', 'linux/amd64', true],
    ['linux/amd64/v2', 'linux/amd64/v3', false],
    ['linux/arm/v7', 'linux/arm/v6', true],
    ['linux/arm/v6', 'linux/arm/v7', false],
    ['linux/arm', 'linux/arm/v5', true],
    ['linux/arm64', 'linux/arm64/v8', true],
    ['linux/arm64', 'linux/arm/v7', false],
    ['windows/amd64', 'linux/amd64', false],
  ])('a node of %s given %s: %s', (wanted, offered, matches) => {
    expect(platformMatches(parsePlatform(wanted), parsePlatform(offered))).toBe(matches);
  });
});

describe('selectChildren', () => {
  const index = indexOf('linux/amd64', 'linux/arm64', 'linux/arm/v7');
  const names = (platforms: string[]): (string | undefined)[] =>
    selectChildren(index, { platforms: platforms.map(parsePlatform) }).map(
      ({ platform }) => platform && formatPlatform(platform),
    );

  it('takes the children that the nodes run', () => {
    expect(names(['linux/arm64', 'linux/amd64'])).toEqual(['linux/amd64', 'linux/arm64']);
  });

  it('takes all when no platform is named', () => {
    expect(names([])).toEqual(['linux/amd64', 'linux/arm64', 'linux/arm/v7']);
  });

  it('takes children that state no platform', () => {
    const { platform, ...bare } = child(index, 0);
    expect(platform).toBeDefined();
    const withBare = { ...index, manifests: [bare, ...index.manifests.slice(1)] };
    expect(selectChildren(withBare, { platforms: [parsePlatform('linux/arm64')] })).toHaveLength(2);
  });

  it('says for which platforms there is nothing', () => {
    expect(() => names(['windows/amd64'])).toThrow('the image has no manifest for windows/amd64');
  });

  it('takes attestations when asked for, of what it takes', () => {
    const attested = {
      ...index,
      manifests: [...index.manifests, attestation(index, 0), attestation(index, 1)],
    };
    const platforms = [parsePlatform('linux/amd64')];
    expect(selectChildren(attested, { platforms })).toHaveLength(1);
    expect(selectChildren(attested, { platforms, attestations: true })).toEqual([
      index.manifests[0],
      attestation(index, 0),
    ]);
    expect(selectChildren(attested, { platforms: [], attestations: true })).toHaveLength(5);
  });
});
