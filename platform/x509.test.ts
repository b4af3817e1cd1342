import { connect, createServer, type TLSSocket } from 'node:tls';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import {
  createCa,
  issueServerCertificate,
  mergeBundle,
  renewalReason,
  splitBundle,
  type KeyPairPem,
} from './x509.ts';

const NOW = Date.UTC(2030, 0, 1);
const DAY = 86_400_000;
const NAMES = ['larder-webhook.larder.svc', '10.0.0.7'] as const;

describe('the certificate authority', () => {
  let ca: KeyPairPem;
  let leaf: KeyPairPem;
  beforeAll(async () => {
    ca = await createCa('larder', 3650, NOW);
    leaf = await issueServerCertificate(ca, NAMES, 90, NOW);
  });

  it('issues certificates that a TLS client accepts for their name', async () => {
    const now = Date.now();
    const freshCa = await createCa('larder', 10, now);
    const fresh = await issueServerCertificate(freshCa, ['larder-webhook.larder.svc'], 10, now);
    const server = createServer({ cert: fresh.cert, key: fresh.key }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const client: TLSSocket = connect({
      port,
      host: '127.0.0.1',
      ca: freshCa.cert,
      servername: 'larder-webhook.larder.svc',
    });
    await once(client, 'secureConnect');
    expect(client.authorized).toBe(true);
    client.destroy();
    server.close();
    await once(server, 'close');
  });

  it('keeps a certificate for two thirds of its life', () => {
    const wanted = { names: [...NAMES], issuer: ca.cert };
    expect(renewalReason(leaf, wanted, NOW)).toBeUndefined();
    expect(renewalReason(leaf, wanted, NOW + 59 * DAY)).toBeUndefined();
    expect(renewalReason(leaf, wanted, NOW + 61 * DAY)).toBe('expiring');
    expect(renewalReason(leaf, wanted, NOW + 365 * DAY)).toBe('expiring');
  });

  it('replaces what is missing, broken, for other names or of another CA', async () => {
    const wanted = { names: [...NAMES], issuer: ca.cert };
    const otherCa = await createCa('larder', 3650, NOW);
    expect(renewalReason(undefined, wanted, NOW)).toBe('missing');
    expect(renewalReason({ cert: leaf.cert }, wanted, NOW)).toBe('missing');
    expect(renewalReason({ cert: 'garbage', key: leaf.key }, wanted, NOW)).toBe('unreadable');
    expect(renewalReason({ cert: leaf.cert, key: 'garbage' }, wanted, NOW)).toBe('unreadable');
    expect(renewalReason({ cert: leaf.cert, key: ca.key }, wanted, NOW)).toBe('unreadable');
    expect(renewalReason(leaf, { ...wanted, names: ['other.svc'] }, NOW)).toBe('wrong-names');
    expect(renewalReason(leaf, { ...wanted, issuer: otherCa.cert }, NOW)).toBe('wrong-issuer');
    expect(renewalReason(ca, { names: [], issuer: ca.cert }, NOW)).toBeUndefined();
  });

  it('goes on trusting an old CA until it expires', async () => {
    const old = await createCa('larder', 10, NOW);
    const bundle = mergeBundle(old.cert, ca.cert, NOW);
    expect(splitBundle(bundle)).toEqual([ca.cert, old.cert]);
    expect(mergeBundle(bundle, ca.cert, NOW)).toBe(bundle);
    expect(splitBundle(mergeBundle(bundle, ca.cert, NOW + 11 * DAY))).toEqual([ca.cert]);
    expect(mergeBundle('no certificate', ca.cert, NOW)).toBe(ca.cert);
  });
});
