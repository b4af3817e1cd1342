import { cachedImageName } from '../../api/names.ts';
import { ObjectCache } from '../../platform/kube/cache.ts';
import { parseReference } from '../../registry/core/reference.ts';
import { indexTenantImages, KubePullSecrets, type TenantImage, tenantImages } from './kube-secrets.ts';

const app = { tenant: 'team-a', host: 'registry.example', repository: 'acme/app' };
const signal = AbortSignal.timeout(60_000);
const PATIENCE_MS = 100;
let images: ObjectCache<TenantImage>;
let version = 0;

const kube = { get: () => Promise.reject(new Error('no secret is read here')) };

function cachedImage(
  image: string,
  tenant: string | undefined,
  pullSecrets: readonly string[] | undefined,
): object {
  const name = cachedImageName(parseReference(image), tenant);
  const spec = {
    image,
    ...(tenant === undefined ? {} : { tenant }),
    ...(pullSecrets ? { pullSecrets } : {}),
  };
  return { metadata: { name, resourceVersion: String(++version) }, spec, status: { sizeBytes: 1 } };
}

function decoded(raw: readonly object[]): TenantImage[] {
  return raw.map((each) => tenantImages.decode(each)).filter((each) => each !== undefined);
}

function know(...raw: readonly object[]): void {
  images.apply({ type: 'reset', objects: decoded(raw) });
}

function names(reference?: string, name = app): Promise<readonly string[]> {
  return new KubePullSecrets(kube, images, PATIENCE_MS).secretNames(name, reference, signal);
}

beforeEach(() => {
  images = indexTenantImages(new ObjectCache<TenantImage>());
});

it('an image is fetched with the secrets that its own CachedImage names', async () => {
  know(
    cachedImage('registry.example/acme/app:1', 'team-a', ['one']),
    cachedImage('registry.example/acme/app:2', 'team-a', ['two']),
  );
  expect(await names('1')).toEqual(['one']);
});

it('a blob, and an image that has no secrets of its own, with those of all images of the repository', async () => {
  know(
    cachedImage('registry.example/acme/app:1', 'team-a', ['one']),
    cachedImage('registry.example/acme/app:2', 'team-a', ['two', 'one']),
    cachedImage('registry.example/acme/app:3', 'team-a', undefined),
    cachedImage('registry.example/acme/other:1', 'team-a', ['of another repository']),
    cachedImage('registry.example/acme/app:1', 'team-b', ['of another namespace']),
  );
  expect(await names()).toEqual(['one', 'two']);
  expect(await names('3')).toEqual(['one', 'two']);
});

it('a pod that has just been made is waited for, a blob of nobody is not', async () => {
  know();
  const startedAt = performance.now();
  expect(await names()).toEqual([]);
  expect(performance.now() - startedAt).toBeLessThan(PATIENCE_MS);
  const waiting = names('1');
  const [made] = decoded([cachedImage('registry.example/acme/app:1', 'team-a', ['late'])]);
  if (made !== undefined) images.apply({ type: 'upsert', object: made });
  expect(await waiting).toEqual(['late']);
});

it('nothing is said before the CachedImages are known', async () => {
  await expect(names()).rejects.toMatchObject({ reason: 'Internal' });
});

it.each([
  ['public', cachedImage('registry.example/acme/app:1', undefined, undefined)],
  ['that cannot be parsed', { metadata: { name: 'x' }, spec: { image: 'UPPER/CASE', tenant: 'team-a' } }],
])('an image %s is passed over', (_, raw) => {
  expect(tenantImages.decode(raw)).toBeUndefined();
});

it('ten thousand images of a namespace cost no more than one', async () => {
  const many = Array.from({ length: 10_000 }, (_, n) =>
    cachedImage(`registry.example/acme/image-${n}:1`, 'team-a', [`secret-${n}`]),
  );
  know(...many);
  const startedAt = performance.now();
  for (let n = 0; n < 1_000; n += 1)
    expect(await names(undefined, { ...app, repository: `acme/image-${n * 10}` })).toEqual([
      `secret-${n * 10}`,
    ]);
  expect(performance.now() - startedAt).toBeLessThan(2_000);
});
