import { createLocalJWKSet, importPKCS8, jwtVerify, SignJWT } from 'jose';
import type { JSONWebKeySet } from 'jose';
import { releaseNames } from '../../api/names.ts';
import { renewalReason, splitBundle } from '../../platform/x509.ts';
import { ensureRelease } from './release-objects.ts';
import type { Data, ObjectStore } from './release-objects.ts';

const NOW = Date.parse('2026-11-21T03:00:00Z');
const YEAR_MS = 365 * 86_400_000;
const OPTIONS = { names: releaseNames('larder'), namespace: 'larder-system', ownStore: true };

class MemoryObjects implements ObjectStore {
  readonly objects = new Map<string, Data>();
  readonly written: string[] = [];

  async ensure(kind: string, name: string, next: (held: Data | undefined) => Promise<Data>): Promise<Data> {
    const key = `${kind}/${name}`;
    const held = this.objects.get(key);
    const data = await next(held);
    if (JSON.stringify(data) !== JSON.stringify(held)) this.written.push(key);
    this.objects.set(key, data);
    return data;
  }

  get(key: string): Data {
    return this.objects.get(key) ?? {};
  }
}

describe('what a release mounts', () => {
  const store = new MemoryObjects();
  beforeEach(async () => {
    await ensureRelease(store, OPTIONS, NOW);
    store.written.length = 0;
  });

  it('is made once and then kept', async () => {
    await ensureRelease(store, OPTIONS, NOW + YEAR_MS / 2);
    expect(store.written).toEqual([]);
    expect([...store.objects.keys()].sort()).toEqual([
      'ConfigMap/larder-ca',
      'ConfigMap/larder-store-trust',
      'Secret/larder-ca',
      'Secret/larder-copier-tls',
      'Secret/larder-store-reader',
      'Secret/larder-store-writer',
      'Secret/larder-webhook-tls',
    ]);
  });

  it('holds certificates that the bundle vouches for, in the names of the Services', async () => {
    const bundle = await ensureRelease(store, OPTIONS, NOW);
    for (const process of ['webhook', 'copier']) {
      const data = store.get(`Secret/larder-${process}-tls`);
      const pair = { cert: data['tls.crt'] ?? '', key: data['tls.key'] ?? '' };
      const wanted = { names: [`larder-${process}.larder-system.svc`], issuer: bundle };
      expect(renewalReason(pair, wanted, NOW)).toBeUndefined();
    }
    expect(splitBundle(bundle)).toHaveLength(1);
  });

  it('renews serving certificates long before they expire, under the same CA', async () => {
    await ensureRelease(store, OPTIONS, NOW + 0.7 * YEAR_MS);
    expect(store.written).toEqual(['Secret/larder-webhook-tls', 'Secret/larder-copier-tls']);
  });

  it('makes again only what was deleted', async () => {
    store.objects.delete('Secret/larder-copier-tls');
    await ensureRelease(store, OPTIONS, NOW);
    expect(store.written).toEqual(['Secret/larder-copier-tls']);
  });

  it('trusts a former CA beside a new one', async () => {
    store.objects.delete('Secret/larder-ca');
    expect(splitBundle(await ensureRelease(store, OPTIONS, NOW))).toHaveLength(2);
  });

  it.each(['reader', 'writer'])('lets the store verify what the %s signs', async (login) => {
    const secret = store.get(`Secret/larder-store-${login}`);
    const key = await importPKCS8(secret['private-key.pem'] ?? '', 'ES256');
    const header = { alg: 'ES256', kid: secret['key-id'] ?? '' };
    const token = await new SignJWT({}).setProtectedHeader(header).setIssuer('larder').sign(key);
    const trusted = store.get('ConfigMap/larder-store-trust')[`${login}.jwks.json`] ?? '';
    const keys = createLocalJWKSet(JSON.parse(trusted) as JSONWebKeySet);
    expect((await jwtVerify(token, keys)).payload.iss).toBe('larder');
    expect(trusted).not.toContain('"d"');
  });

  it('has no logins for a store that is not ours', async () => {
    const other = new MemoryObjects();
    await ensureRelease(other, { ...OPTIONS, ownStore: false }, NOW);
    expect([...other.objects.keys()].filter((key) => key.includes('store'))).toEqual([]);
  });
});
