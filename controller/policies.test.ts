import { parseCachePolicy } from '../api/cache-policy.ts';
import { expiresAt } from './life-rules.ts';
import { policyOf, rulesUnder } from './policies.ts';
import { cachedImage, DAY, LIFE, NOW } from './test-objects.ts';
import { parseReference } from '../registry/core/reference.ts';

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

  it('keep an image that they retain, unless the image itself says otherwise', () => {
    const rules = { ...LIFE, retain: true };
    const metadata = { creationTimestamp: new Date(NOW - 99 * DAY).toISOString() };
    expect(expiresAt(cachedImage('nginx', { metadata }), {}, undefined, rules)).toBeUndefined();
    const image = cachedImage('nginx', { metadata, spec: { retain: false } });
    expect(expiresAt(image, {}, undefined, rules)).toBe(NOW - 69 * DAY);
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
