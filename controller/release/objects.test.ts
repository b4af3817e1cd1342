import { createLocalJWKSet, importPKCS8, type JSONWebKeySet, jwtVerify, SignJWT } from 'jose';
import { releaseNames } from '../../api/names.ts';
import { isTrusted, renewalReason, splitBundle } from '../../platform/x509.ts';
import type { CapabilityKey } from '../../registry/core/capability.ts';
import { ensureRelease, type ObjectStore } from './objects.ts';
import type { Data } from './authority.ts';

const NOW = Date.parse('2026-11-21T03:00:00Z');
const YEAR_MS = 365 * 86_400_000;
const SETTLE_MS = 5 * 60_000;

/** What was published last. */
let bundle = '';
let callerToken = '';
let capabilityKeys: readonly CapabilityKey[] = [];
const OPTIONS = {
  names: releaseNames('larder'),
  namespace: 'larder-system',
  ownStore: true,
  ownWebhookCertificate: true,
  onCapabilityKeys: (keys: readonly CapabilityKey[]) => {
    capabilityKeys = keys;
  },
  publishCaller: (token: string) => {
    callerToken = token;
    return Promise.resolve();
  },
  onBadKeyLine: () => undefined,
  publish: (published: string) => {
    bundle = published;
    return Promise.resolve();
  },
};

function at(now: number): { now: number; settleMs: number } {
  return { now, settleMs: SETTLE_MS };
}

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
    await ensureRelease(store, OPTIONS, at(NOW));
    store.written.length = 0;
  });

  it('is made once and then kept', async () => {
    await ensureRelease(store, OPTIONS, at(NOW + YEAR_MS / 2));
    expect(store.written).toEqual([]);
    expect([...store.objects.keys()].sort()).toEqual([
      'ConfigMap/larder-ca',
      'ConfigMap/larder-store-trust',
      'Secret/larder-admission-caller',
      'Secret/larder-ca',
      'Secret/larder-capability-keys',
      'Secret/larder-copier-tls',
      'Secret/larder-store-reader',
      'Secret/larder-store-writer',
      'Secret/larder-webhook-tls',
    ]);
    expect(capabilityKeys).toHaveLength(1);
    expect(callerToken).toBe(store.get('Secret/larder-admission-caller')['token']);
    expect(callerToken).toMatch(/^[0-9a-f]{48}$/);
  });

  it('holds certificates that the bundle vouches for, in the names of the Services', async () => {
    await ensureRelease(store, OPTIONS, at(NOW));
    for (const process of ['webhook', 'copier']) {
      const data = store.get(`Secret/larder-${process}-tls`);
      const pair = { cert: data['tls.crt'] ?? '', key: data['tls.key'] ?? '' };
      const wanted = { names: [`larder-${process}.larder-system.svc`], issuer: bundle };
      expect(renewalReason(pair, wanted, NOW)).toBeUndefined();
    }
    expect(splitBundle(bundle)).toHaveLength(1);
  });

  it('renews serving certificates long before they expire, under the same CA', async () => {
    await ensureRelease(store, OPTIONS, at(NOW + 0.7 * YEAR_MS));
    expect(store.written).toEqual(['Secret/larder-webhook-tls', 'Secret/larder-copier-tls']);
  });

  it('makes again only what was deleted', async () => {
    store.objects.delete('Secret/larder-copier-tls');
    await ensureRelease(store, OPTIONS, at(NOW));
    expect(store.written).toEqual(['Secret/larder-copier-tls']);
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
    await ensureRelease(other, { ...OPTIONS, ownStore: false }, at(NOW));
    expect([...other.objects.keys()].filter((key) => key.includes('store'))).toEqual([]);
  });
});

describe('the rotation of the CA', () => {
  const webhook = 'Secret/larder-webhook-tls';
  /** The serial step of the certificate that the webhook serves. */
  const served = (store: MemoryObjects): string => store.get(webhook)['tls.crt'] ?? '';
  const ca = (store: MemoryObjects): string => store.get('Secret/larder-ca')['tls.crt'] ?? '';

  async function release(): Promise<MemoryObjects> {
    const store = new MemoryObjects();
    await ensureRelease(store, OPTIONS, at(NOW));
    return store;
  }

  /** At every step, what is served is trusted by what was published before the step. */
  async function step(store: MemoryObjects, now: number): Promise<void> {
    const trustedBefore = bundle;
    await ensureRelease(store, OPTIONS, at(now));
    expect(isTrusted(served(store), trustedBefore)).toBe(true);
    expect(isTrusted(served(store), bundle)).toBe(true);
  }

  it.each([
    ['long before the old one expires', () => false, NOW + 6.7 * YEAR_MS],
    [
      'when its Secret was deleted by hand',
      (store: MemoryObjects) => store.objects.delete('Secret/larder-ca'),
      NOW + 0.1 * YEAR_MS,
    ],
  ])('goes on while everything served is trusted: %s', async (_, change, begin) => {
    const store = await release();
    // Serving certificates are renewed more often than the CA.
    await ensureRelease(store, OPTIONS, at(begin - 0.1 * YEAR_MS));
    const [oldCa, oldServed] = [ca(store), served(store)];
    change(store);
    await step(store, begin);
    expect(ca(store)).not.toBe(oldCa);
    expect(served(store)).toBe(oldServed);
    expect(splitBundle(bundle)).toEqual([ca(store), oldCa]);

    await step(store, begin + SETTLE_MS - 1);
    expect(served(store)).toBe(oldServed);

    await step(store, begin + SETTLE_MS);
    expect(isTrusted(served(store), ca(store))).toBe(true);
    expect(splitBundle(bundle)).toContain(oldCa);

    await step(store, begin + 2 * SETTLE_MS - 1);
    expect(splitBundle(bundle)).toContain(oldCa);

    await step(store, begin + 2 * SETTLE_MS);
    expect(bundle).toBe(ca(store));
    expect(Object.keys(store.get('Secret/larder-ca')).sort()).toEqual(['published', 'tls.crt', 'tls.key']);
    store.written.length = 0;
    await step(store, begin + 3 * SETTLE_MS);
    expect(store.written).toEqual([]);
  });

  it('counts from when the new CA could be published', async () => {
    const store = await release();
    const oldServed = served(store);
    store.objects.delete('Secret/larder-ca');
    const failing = { ...OPTIONS, publish: () => Promise.reject(new Error('the API is away')) };
    await expect(ensureRelease(store, failing, at(NOW + 1))).rejects.toThrow('away');
    await step(store, NOW + 1 + 10 * SETTLE_MS);
    expect(served(store)).toBe(oldServed);
    await step(store, NOW + 1 + 11 * SETTLE_MS);
    expect(served(store)).not.toBe(oldServed);
  });

  it('signs by the old one meanwhile when a certificate is missing', async () => {
    const store = await release();
    const oldCa = ca(store);
    await ensureRelease(store, OPTIONS, at(NOW + 7 * YEAR_MS));
    store.objects.delete(webhook);
    await ensureRelease(store, OPTIONS, at(NOW + 7 * YEAR_MS + 1));
    expect(isTrusted(served(store), oldCa)).toBe(true);
  });

  it.each([
    ['expired', NOW + 20 * YEAR_MS, () => undefined],
    [
      'unreadable',
      NOW,
      (store: MemoryObjects) => {
        for (const key of [webhook, 'Secret/larder-ca'])
          store.objects.set(key, { 'tls.crt': 'x', 'tls.key': 'y' });
      },
    ],
  ])('is made at once when all that is held is %s', async (_, now, change) => {
    const store = await release();
    change(store);
    await ensureRelease(store, OPTIONS, at(now));
    expect(isTrusted(served(store), bundle)).toBe(true);
    expect(renewalReason(pairOf(store.get(webhook)), { names: [] }, now)).toBeUndefined();
  });

  it('leaves the certificate of the webhook to cert-manager when that makes it', async () => {
    const store = new MemoryObjects();
    await ensureRelease(store, { ...OPTIONS, ownWebhookCertificate: false }, at(NOW));
    expect(store.objects.has(webhook)).toBe(false);
    expect(store.objects.has('Secret/larder-copier-tls')).toBe(true);
  });
});

function pairOf(data: Data): { cert: string; key: string } {
  return { cert: data['tls.crt'] ?? '', key: data['tls.key'] ?? '' };
}
