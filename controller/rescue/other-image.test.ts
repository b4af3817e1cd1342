import { imageInCache, originalImage } from './other-image.ts';

const PROXY = 'localhost:7439';

describe('the original of an image that goes through the proxy', () => {
  it.each([
    ['localhost:7439/docker.io/library/nginx:1.27', undefined, 'docker.io/library/nginx:1.27'],
    ['localhost:7439/docker.io/library/nginx:1.27', 'nginx:1.27', 'nginx:1.27'],
    ['localhost:7439/team-a.tenant/ghcr.io/acme/app:7', undefined, 'ghcr.io/acme/app:7'],
    ['localhost:7439/reg.example.com-5000/a/b:1', undefined, 'reg.example.com:5000/a/b:1'],
  ])('%s, said to be %s, is %s', (image, claimed, original) => {
    expect(originalImage(image, claimed, PROXY)).toBe(original);
  });

  it('is not what a forged annotation says', () => {
    expect(originalImage('localhost:7439/docker.io/library/nginx:1.27', 'evil.example/miner', PROXY)).toBe(
      'docker.io/library/nginx:1.27',
    );
  });

  it.each(['nginx', 'localhost:5000/a/b', 'NOT an image', ''])('%j has none', (image) => {
    expect(originalImage(image, undefined, PROXY)).toBeUndefined();
  });
});

describe('the name of an image in the cache', () => {
  it('is what admission would have written', () => {
    expect(imageInCache('nginx:1.27', undefined, PROXY)).toBe('localhost:7439/docker.io/library/nginx:1.27');
    expect(imageInCache('ghcr.io/acme/app:7', 'team-a', PROXY)).toBe(
      'localhost:7439/team-a.tenant/ghcr.io/acme/app:7',
    );
  });

  it('does not exist for what is no image', () => {
    expect(imageInCache('NOT an image', undefined, PROXY)).toBeUndefined();
  });
});
