import { parseCachedImage } from './cached-image.ts';

const image = { metadata: { name: 'nginx-1' }, spec: { image: 'docker.io/library/nginx:1' } };

describe('parseCachedImage', () => {
  it('fills in what items of a list lack and drops what it does not know', () => {
    const parsed = parseCachedImage({ ...image, metadata: { name: 'nginx-1', managedFields: [] } });
    expect(parsed).toEqual({ apiVersion: 'larder.dev/v1alpha1', kind: 'CachedImage', ...image });
  });

  it('keeps an image that cannot be parsed, so that a condition can say so', () => {
    expect(parseCachedImage({ ...image, spec: { image: 'No Image' } }).spec.image).toBe('No Image');
  });

  it.each([
    [null, 'not a CachedImage'],
    [{ ...image, kind: 'Pod' }, 'kind'],
    [{ ...image, apiVersion: 'larder.dev/v2' }, 'apiVersion'],
    [{ ...image, spec: {} }, 'spec.image'],
    [{ ...image, status: { sizeBytes: 'much' } }, 'status.sizeBytes'],
  ])('refuses %j', (json, message) => {
    expect(() => parseCachedImage(json)).toThrow(message);
  });
});
