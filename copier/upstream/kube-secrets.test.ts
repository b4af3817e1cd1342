import { cachedImageName } from '../../api/names.ts';
import { ObjectCache } from '../../platform/kube/cache.ts';
import { parseReference } from '../../registry/core/reference.ts';
import { type Claim, claimRecords, indexClaims, KubePullSecrets } from './kube-secrets.ts';

const app = { tenant: 'team-a', host: 'registry.example', repository: 'acme/app' };
const signal = AbortSignal.timeout(60_000);
const PATIENCE_MS = 100;
let claims: ObjectCache<Claim>;
let version = 0;

const kube = { get: () => Promise.reject(new Error('no secret is read here')) };

function claim(
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

function decoded(raw: readonly object[]): Claim[] {
  return raw.map((each) => claimRecords.decode(each)).filter((each) => each !== undefined);
}

function know(...raw: readonly object[]): void {
  claims.apply({ type: 'reset', objects: decoded(raw) });
}

function names(reference?: string, name = app): Promise<readonly string[]> {
  return new KubePullSecrets(kube, claims, PATIENCE_MS).secretNames(name, reference, signal);
}

beforeEach(() => {
  claims = indexClaims(new ObjectCache<Claim>());
});

it('an image is fetched with the secrets that its own CachedImage names', async () => {
  know(
    claim('registry.example/acme/app:1', 'team-a', ['one']),
    claim('registry.example/acme/app:2', 'team-a', ['two']),
  );
  expect(await names('1')).toEqual(['one']);
});

it('a blob, and an image that has no secrets of its own, with those of all images of the repository', async () => {
  know(
    claim('registry.example/acme/app:1', 'team-a', ['one']),
    claim('registry.example/acme/app:2', 'team-a', ['two', 'one']),
    claim('registry.example/acme/app:3', 'team-a', undefined),
    claim('registry.example/acme/other:1', 'team-a', ['of another repository']),
    claim('registry.example/acme/app:1', 'team-b', ['of another namespace']),
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
  const [made] = decoded([claim('registry.example/acme/app:1', 'team-a', ['late'])]);
  if (made !== undefined) claims.apply({ type: 'upsert', object: made });
  expect(await waiting).toEqual(['late']);
});

it('nothing is said before the CachedImages are known', async () => {
  await expect(names()).rejects.toMatchObject({ reason: 'Internal' });
});

it.each([
  ['public', claim('registry.example/acme/app:1', undefined, undefined)],
  ['that cannot be parsed', { metadata: { name: 'x' }, spec: { image: 'UPPER/CASE', tenant: 'team-a' } }],
])('an image %s is passed over', (_, raw) => {
  expect(claimRecords.decode(raw)).toBeUndefined();
});

it('ten thousand images of a namespace cost no more than one', async () => {
  const many = Array.from({ length: 10_000 }, (_, n) =>
    claim(`registry.example/acme/image-${n}:1`, 'team-a', [`secret-${n}`]),
  );
  know(...many);
  const startedAt = performance.now();
  for (let n = 0; n < 1_000; n += 1)
    expect(await names(undefined, { ...app, repository: `acme/image-${n * 10}` })).toEqual([
      `secret-${n * 10}`,
    ]);
  expect(performance.now() - startedAt).toBeLessThan(2_000);
});
