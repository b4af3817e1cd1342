import fc from 'fast-check';
import { testImage, testIndex } from '../../test/fakes/images.ts';
import { RegistryError } from './errors.ts';
import { blobsOf, MAX_MANIFEST_BYTES, parseManifest, platformOfConfig } from './manifest.ts';
import { DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST } from './media-types.ts';

const DIGEST = `sha256:${'a'.repeat(64)}`;
const LAYER = 'application/vnd.oci.image.layer.v1.tar+gzip';
const layer = { mediaType: LAYER, digest: DIGEST, size: 3 };
const image = { schemaVersion: 2, config: layer, layers: [layer] };
const bytes = (json: unknown): Uint8Array => Buffer.from(JSON.stringify(json));

describe('parseManifest', () => {
  it('reads an image with the blobs that a copy needs, each once', () => {
    const { root } = testImage(['one', 'two', 'one']);
    const manifest = parseManifest(root.bytes, OCI_MANIFEST);
    if (manifest.kind !== 'image') throw new Error('not an image');
    expect(manifest.layers).toHaveLength(3);
    expect(blobsOf(manifest)).toHaveLength(3);
    expect(blobsOf(manifest)[0]).toEqual(manifest.config);
  });

  it('reads an index with the platforms of its children', () => {
    const { root } = testIndex({ 'linux/amd64': testImage(['a']), 'linux/arm/v7': testImage(['b']) });
    const manifest = parseManifest(root.bytes, OCI_INDEX);
    if (manifest.kind !== 'index') throw new Error('not an index');
    expect(manifest.manifests.map((child) => child.platform)).toEqual([
      { os: 'linux', architecture: 'amd64' },
      { os: 'linux', architecture: 'arm', variant: 'v7' },
    ]);
  });

  it.each([
    ['by the header', image, `${DOCKER_MANIFEST}; charset=utf-8`, DOCKER_MANIFEST],
    ['by itself', { ...image, mediaType: DOCKER_MANIFEST }, 'application/json', DOCKER_MANIFEST],
    ['by its fields', image, undefined, OCI_MANIFEST],
    ['by its fields as an index', { schemaVersion: 2, manifests: [] }, 'text/plain', OCI_INDEX],
    ['as Docker’s list', { mediaType: DOCKER_LIST, manifests: [] }, undefined, DOCKER_LIST],
  ])('knows its media type %s', (_how, json, contentType, expected) => {
    expect(parseManifest(bytes(json), contentType).mediaType).toBe(expected);
  });

  it('leaves out foreign layers, but not those that name no place to find them', () => {
    const mediaType = 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip';
    const far = { mediaType, digest: `sha256:${'b'.repeat(64)}`, size: 1, urls: ['https://far.example/'] };
    const near = { ...far, digest: `sha256:${'c'.repeat(64)}`, urls: [] };
    const manifest = parseManifest(bytes({ ...image, layers: [far, near] }));
    if (manifest.kind !== 'image') throw new Error('not an image');
    expect(blobsOf(manifest).map(({ digest }) => digest)).toEqual([DIGEST, near.digest]);
  });

  it.each([
    ['not JSON', Buffer.from('<html>'), undefined, 'is not JSON'],
    ['not UTF-8', Buffer.from([0x22, 0xff, 0x22]), undefined, 'is not JSON'],
    ['no object', bytes([]), undefined, 'manifest is invalid'],
    ['neither an image nor an index', bytes({ schemaVersion: 2 }), undefined, 'invalid at config'],
    ['of Docker schema 1', bytes({ schemaVersion: 1, fsLayers: [] }), undefined, 'schema 1'],
    [
      'declared as schema 1',
      bytes(image),
      'application/vnd.docker.distribution.manifest.v1+prettyjws',
      'schema 1',
    ],
    [
      'both an index and an image',
      bytes({ ...image, manifests: [] }),
      undefined,
      'both an index and an image',
    ],
    ['of two types', bytes({ ...image, mediaType: OCI_MANIFEST }), DOCKER_MANIFEST, 'declared as'],
    ['an image declared as an index', bytes(image), OCI_INDEX, 'invalid at manifests'],
    [
      'with a digest of an unknown algorithm',
      bytes({ ...image, config: { ...layer, digest: 'md5:aa' } }),
      undefined,
      'config.digest',
    ],
    [
      'with a negative size',
      bytes({ ...image, layers: [{ ...layer, size: -1 }] }),
      undefined,
      'layers.0.size',
    ],
    [
      'with a size beyond counting',
      bytes({ ...image, layers: [{ ...layer, size: 2 ** 60 }] }),
      undefined,
      'layers.0.size',
    ],
    ['too large', Buffer.alloc(MAX_MANIFEST_BYTES + 1, ' '), undefined, 'at most'],
  ])('refuses one that is %s', (_what, content, contentType, message) => {
    expect(() => parseManifest(content, contentType)).toThrow(RegistryError);
    expect(() => parseManifest(content, contentType)).toThrow(message);
  });

  it('answers anything with a manifest or a RegistryError of reason Invalid', () => {
    const keys = fc.constantFrom(
      'schemaVersion',
      'mediaType',
      'manifests',
      'config',
      'layers',
      'digest',
      'size',
      'platform',
      'annotations',
      'urls',
      'subject',
    );
    const values = fc.oneof(
      fc.constantFrom<unknown>(2, 1, null, DIGEST, OCI_INDEX, OCI_MANIFEST, layer, [layer], {}, [], {
        os: 1,
      }),
      fc.jsonValue(),
    );
    const contents = fc.oneof(
      fc.uint8Array(),
      fc.dictionary(keys, values).map(bytes),
      fc.dictionary(keys, values).map((odd) => bytes({ ...image, ...odd })),
    );
    fc.assert(
      fc.property(
        contents,
        fc.constantFrom(undefined, OCI_INDEX, DOCKER_MANIFEST, 'text/html'),
        (content, type) => {
          try {
            expect(['image', 'index']).toContain(parseManifest(content, type).kind);
          } catch (error) {
            expect(error).toMatchObject({ name: 'RegistryError', reason: 'Invalid' });
          }
        },
      ),
      { numRuns: 5000 },
    );
  });
});

describe('platformOfConfig', () => {
  it('reads what an image’s config states', () => {
    const config = bytes({ os: 'linux', architecture: 'arm64', variant: 'v8', rootfs: {} });
    expect(platformOfConfig(config)).toEqual({ os: 'linux', architecture: 'arm64' });
  });

  it.each(['{}', 'nonsense', '[]', '{"os":"linux"}'])('knows nothing from %s', (text) => {
    expect(platformOfConfig(Buffer.from(text))).toBeUndefined();
  });
});
