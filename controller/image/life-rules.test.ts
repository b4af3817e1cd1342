import { parseCachePolicy } from '../../api/cache-policy.ts';
import { expiresAt, policyOf, rulesUnder } from './life-rules.ts';
import { findCondition } from '../../platform/kube/conditions.ts';
import { parseDigest } from '../../registry/core/digest.ts';
import { decide } from './decide.ts';
import {
  cachedImage,
  COPIED,
  copyRequest,
  DAY,
  DIGEST,
  gathered,
  LIFE,
  NOW,
  usageOf,
} from '../test-objects.ts';
import { parseReference } from '../../registry/core/reference.ts';

const policy = parseCachePolicy({
  metadata: { name: 'p' },
  spec: { match: { namespaces: ['team-a'] }, expireAfter: '48h', platforms: ['linux/arm64'] },
});

describe('the rules under a policy', () => {
  it('are the default ones without any', () => {
    expect(rulesUnder(LIFE, undefined)).toBe(LIFE);
  });

  it('change what the policy says, and nothing else', () => {
    const changed = { expireAfterMs: 2 * DAY, platforms: ['linux/arm64'], policy: 'p' };
    expect(rulesUnder(LIFE, policy)).toEqual({ ...LIFE, ...changed });
  });

  it('let what is not to be cached go soon, and copy nothing for it', () => {
    const spec = { cache: false, expireAfter: '48h' };
    const lifeRules = rulesUnder(LIFE, parseCachePolicy({ metadata: { name: 'p' }, spec }));
    expect(lifeRules).toEqual({ ...LIFE, cache: false, expireAfterMs: LIFE.dropAfterMs, policy: 'p' });
    const usage = usageOf('nginx', { waitingPods: 1 });
    const { status, copy } = decide(gathered({ image: cachedImage('nginx'), usage, lifeRules }));
    expect(findCondition(status?.conditions, 'Ready')).toMatchObject({
      status: 'False',
      reason: 'Excluded',
      message: 'the CachePolicy p says that it is not to be cached',
    });
    expect(copy).toBeUndefined();
    const held = cachedImage('nginx', { status: { ...COPIED, upstreamDigest: 'sha256:moved' } });
    const still = decide(gathered({ image: held, usage, lifeRules }));
    expect(findCondition(still.status?.conditions, 'Ready')?.status).toBe('True');
    expect(still.copy).toBeUndefined();
  });

  it('have what refers to an image copied, once, also of one that is complete', () => {
    const spec = { referrers: true };
    const lifeRules = rulesUnder(LIFE, parseCachePolicy({ metadata: { name: 'p' }, spec }));
    const usage = usageOf('nginx');
    const held = { ...COPIED, upstreamDigest: DIGEST };
    const before = decide(gathered({ image: cachedImage('nginx', { status: held }), usage, lifeRules }));
    expect(before.copy).toMatchObject({ do: 'start', request: { referrers: true } });
    expect(findCondition(before.status?.conditions, 'Ready')?.status).toBe('True');
    const request = copyRequest('nginx', { referrers: true });
    const result = { digest: DIGEST, sizeBytes: 1, platforms: ['linux/amd64'], referrers: 2 };
    const copy = { phase: 'done', request, result, at: NOW } as const;
    const after = decide(gathered({ image: cachedImage('nginx', { status: held }), usage, lifeRules, copy }));
    expect(after.status?.referrers).toBe(2);
    const image = cachedImage('nginx', { status: JSON.parse(JSON.stringify(after.status)) as object });
    expect(decide(gathered({ image, usage, lifeRules })).copy).toBeUndefined();
  });

  it('say why what refers to an image did not come, and try again once upstream is there', () => {
    const spec = { referrers: true };
    const lifeRules = rulesUnder(LIFE, parseCachePolicy({ metadata: { name: 'p' }, spec }));
    const result = { digest: DIGEST, sizeBytes: 1, platforms: [], referrersFailure: 'it was answered 500' };
    const request = copyRequest('nginx', { referrers: true });
    const copy = { phase: 'done', request, result, at: NOW } as const;
    const { status } = decide(
      gathered({ image: cachedImage('nginx'), usage: usageOf('nginx'), lifeRules, copy }),
    );
    expect(findCondition(status?.conditions, 'Ready')).toMatchObject({
      status: 'True',
      message: expect.stringContaining('what refers to it was not copied: it was answered 500') as string,
    });
    const image = cachedImage('nginx', { status: JSON.parse(JSON.stringify(status)) as object });
    expect(decide(gathered({ image, usage: usageOf('nginx'), lifeRules })).copy).toBeUndefined();
    const available = { upstream: 'Available', digest: parseDigest(DIGEST) } as const;
    const check = { phase: 'done', request: copyRequest('nginx'), result: available, at: NOW } as const;
    expect(decide(gathered({ image, usage: usageOf('nginx'), lifeRules, check })).copy?.do).toBe('start');
  });

  it('keep an image that they retain, unless the image itself says otherwise', () => {
    const lifeRules = { ...LIFE, retain: true };
    const metadata = { creationTimestamp: new Date(NOW - 99 * DAY).toISOString() };
    expect(expiresAt(cachedImage('nginx', { metadata }), {}, undefined, lifeRules)).toBeUndefined();
    const image = cachedImage('nginx', { metadata, spec: { retain: false } });
    expect(expiresAt(image, {}, undefined, lifeRules)).toBe(NOW - 69 * DAY);
  });
});

describe('the policy of an image', () => {
  const nginx = parseReference('nginx');

  it.each([
    ['a public image, by the namespaces that use it', undefined, ['team-b', 'team-a'], 'p'],
    ['a public image that others use', undefined, ['team-b'], undefined],
    ['a tenant’s image, whoever uses it', 'team-a', [], 'p'],
    ['another tenant’s image', 'team-b', ['team-a'], undefined],
  ])('%s', (_what, tenant, users, expected) => {
    expect(policyOf([policy], nginx, tenant, users)?.name).toBe(expected);
  });
});
