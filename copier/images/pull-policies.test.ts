import { policyRecords, type PolicyRecord } from '../../api/policy-records.ts';
import { PullPolicies } from './pull-policies.ts';

function record(name: string, spec: object): PolicyRecord {
  const decoded = policyRecords.decode({ metadata: { name }, spec });
  if (decoded === undefined) throw new Error(`${name} is no policy`);
  return decoded;
}

function policiesOf(records: readonly PolicyRecord[]): PullPolicies {
  return new PullPolicies({ records, freshForMs: 30_000, namespace: 'larder' });
}

const nginx = { host: 'docker.io', repository: 'library/nginx' };
const hub = { images: ['docker.io/*'] };

describe('policies for pulls', () => {
  it.each([
    ['nothing is said', [], 30_000],
    ['a policy says how long', [record('p', { match: hub, freshFor: '5m' })], 300_000],
    [
      'the cache comes first',
      [record('p', { match: hub, tagPolicy: 'CacheFirst', freshFor: '5m' })],
      Infinity,
    ],
    [
      'a policy is for other images',
      [record('p', { match: { images: ['ghcr.io/*'] }, freshFor: '5m' })],
      30_000,
    ],
    ['a policy is for a namespace', [record('p', { match: { namespaces: ['*'] }, freshFor: '5m' })], 30_000],
  ])('a tag is fresh as long as it should be when %s', (_when, records, expected) => {
    expect(policiesOf(records).freshForMs(nginx)).toBe(expected);
  });

  it('give the login of public names, and none of the administrator to tenants', () => {
    const records = [record('p', { match: hub, credentials: { secretName: 'hub-login' } })];
    const policies = policiesOf(records);
    expect(policies.publicSecret(nginx)).toEqual({ namespace: 'larder', name: 'hub-login' });
    expect(policies.publicSecret({ ...nginx, tenant: 'team-a' })).toBeUndefined();
    expect(policies.publicSecret({ ...nginx, host: 'quay.io' })).toBeUndefined();
  });

  it('leave out what cannot be read', () => {
    expect(policyRecords.decode({ metadata: { name: 'p' }, spec: { freshFor: 'soon' } })).toBeUndefined();
  });
});
