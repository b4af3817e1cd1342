import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { buildImage, type ImageRequest, ociArchive } from './images.ts';

const program = Buffer.from('#!program');
const request: ImageRequest = {
  seed: 'a',
  platforms: ['linux/amd64', 'linux/arm64'],
  layers: [4096, 1 << 20],
  program: { 'linux/amd64': program, 'linux/arm64': program },
};

it('gives layers of exactly the size and the digest that the manifest says, which do not compress', () => {
  const [image] = buildImage(request).images;
  const layers = image?.blobs.slice(2) ?? [];
  expect(layers.map(({ size }) => size)).toEqual([4096, 1 << 20]);
  for (const layer of layers) {
    const bytes = Buffer.concat([...layer.bytes()]);
    expect(bytes).toHaveLength(layer.size);
    expect(`sha256:${createHash('sha256').update(bytes).digest('hex')}`).toBe(layer.digest);
  }
  const noise = Buffer.concat([...(layers[1]?.bytes() ?? [])]);
  expect(gzipSync(noise).length).toBeGreaterThan(noise.length * 0.99);
});

it('is the same for the same seed, and another for another seed and platform', () => {
  const image = buildImage(request);
  expect(buildImage(request).index.digest).toBe(image.index.digest);
  expect(buildImage({ ...request, seed: 'b' }).index.digest).not.toBe(image.index.digest);
  const [amd64, arm64] = image.images.map(({ blobs }) => blobs.at(-1)?.digest);
  expect(amd64).not.toBe(arm64);
});

it('refuses a layer size that no archive has', () => {
  expect(() => buildImage({ ...request, layers: [1000] })).toThrow(RangeError);
  expect(() => buildImage({ ...request, layers: [1536] })).toThrow(RangeError);
});

it('writes archives that tar reads', () => {
  const image = buildImage(request);
  const listed = spawnSync('tar', ['-tf', '-'], { input: ociArchive(image, 'example.test/a:1') });
  expect(listed.status).toBe(0);
  expect(listed.stdout.toString().split('\n')).toContain(`blobs/${image.index.digest.replace(':', '/')}`);
});
