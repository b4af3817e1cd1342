import { exportJWK, generateKeyPair, SignJWT, type CryptoKey } from 'jose';
import { silentLogger } from '../../platform/log.ts';
import { discoverKeys, TokenVerifier, type IssuerKeys } from './token-verifier.ts';

const ISSUER = 'https://kubernetes.default.svc';
const AUDIENCE = 'larder-copier';

interface Cluster {
  keys: IssuerKeys;
  key: CryptoKey;
  fetched: number;
  reachable: boolean;
  now: number;
  verifier: TokenVerifier;
}

async function newKeys(kid: string): Promise<{ keys: IssuerKeys; key: CryptoKey }> {
  const { publicKey, privateKey } = await generateKeyPair('RS256');
  return {
    keys: { issuer: ISSUER, jwks: { keys: [{ ...(await exportJWK(publicKey)), kid, alg: 'RS256' }] } },
    key: privateKey,
  };
}

async function startCluster(): Promise<Cluster> {
  const cluster = { ...(await newKeys('one')), fetched: 0, reachable: true, now: 0 } as Cluster;
  cluster.verifier = new TokenVerifier({
    fetchKeys: () => {
      cluster.fetched += 1;
      return cluster.reachable
        ? Promise.resolve(cluster.keys)
        : Promise.reject(new Error('connection refused'));
    },
    audience: AUDIENCE,
    pullers: ['larder/proxy'],
    operators: ['larder/controller'],
    now: () => cluster.now,
    log: silentLogger,
  });
  return cluster;
}

interface Claims {
  readonly account?: string;
  readonly audience?: string;
  readonly issuer?: string;
  readonly expires?: string;
  readonly kid?: string;
}

async function token(key: CryptoKey, claims: Claims = {}): Promise<string> {
  const {
    account = 'larder:proxy',
    audience = AUDIENCE,
    issuer = ISSUER,
    expires = '1h',
    kid = 'one',
  } = claims;
  const jwt = await new SignJWT({})
    .setProtectedHeader({ alg: 'RS256', kid })
    .setSubject(`system:serviceaccount:${account}`)
    .setAudience(audience)
    .setIssuer(issuer)
    .setExpirationTime(expires)
    .sign(key);
  return `Bearer ${jwt}`;
}

describe('a caller of the copier', () => {
  let cluster: Cluster;

  beforeEach(async () => {
    cluster = await startCluster();
  });

  it('has the role of its ServiceAccount', async () => {
    expect(await cluster.verifier.verify(await token(cluster.key))).toBe('puller');
    expect(await cluster.verifier.verify(await token(cluster.key, { account: 'larder:controller' }))).toBe(
      'operator',
    );
    expect(cluster.fetched).toBe(1);
  });

  it.each<[string, Claims]>([
    ['of another audience', { audience: 'https://kubernetes.default.svc' }],
    ['of another issuer', { issuer: 'https://elsewhere.example' }],
    ['that has expired', { expires: '-1m' }],
    ['with a key that the cluster does not have', { kid: 'unknown' }],
  ])('with a token %s is not known', async (_, claims) => {
    const authorization = await token(cluster.key, claims);
    await expect(cluster.verifier.verify(authorization)).rejects.toMatchObject({
      reason: 'Unauthorized',
    });
  });

  it.each([undefined, '', 'Basic eDp5', 'Bearer nonsense', 'Bearer'])(
    'with the authorization %s is not known',
    async (authorization) => {
      await expect(cluster.verifier.verify(authorization)).rejects.toMatchObject({
        reason: 'Unauthorized',
      });
    },
  );

  it('with a forged signature is not known', async () => {
    const { key } = await newKeys('one');
    await expect(cluster.verifier.verify(await token(key))).rejects.toMatchObject({
      reason: 'Unauthorized',
    });
  });

  it('with another account is refused', async () => {
    const authorization = await token(cluster.key, { account: 'default:default' });
    await expect(cluster.verifier.verify(authorization)).rejects.toMatchObject({
      reason: 'Forbidden',
    });
  });

  it('is known by keys that are new, which are fetched at most every few seconds', async () => {
    await cluster.verifier.verify(await token(cluster.key));
    const rotated = await newKeys('two');
    cluster.keys = rotated.keys;
    const authorization = await token(rotated.key, { kid: 'two' });
    await expect(cluster.verifier.verify(authorization)).rejects.toMatchObject({
      reason: 'Unauthorized',
    });
    expect(cluster.fetched).toBe(1);
    cluster.now = 60_000;
    expect(await cluster.verifier.verify(authorization)).toBe('puller');
  });

  it('is still known while the API server is away, but not before it was ever seen', async () => {
    const authorization = await token(cluster.key);
    cluster.reachable = false;
    await expect(cluster.verifier.verify(authorization)).rejects.toMatchObject({
      status: 503,
      retryable: true,
    });
    cluster.reachable = true;
    cluster.now = 60_000;
    await cluster.verifier.verify(authorization);
    cluster.reachable = false;
    cluster.now = 120_000;
    await cluster.verifier.refresh();
    expect(await cluster.verifier.verify(authorization)).toBe('puller');
  });
});

describe('discovery', () => {
  it('takes the issuer from its document and the keys from the API server itself', async () => {
    const documents: Record<string, unknown> = {
      '/.well-known/openid-configuration': { issuer: ISSUER, jwks_uri: 'https://elsewhere.example/keys' },
      '/openid/v1/jwks': { keys: [{ kty: 'RSA', n: 'x', e: 'AQAB' }] },
    };
    const keys = await discoverKeys((path) => Promise.resolve(documents[path]), new AbortController().signal);
    expect(keys).toEqual({ issuer: ISSUER, jwks: { keys: [{ kty: 'RSA', n: 'x', e: 'AQAB' }] } });
  });
});
