import { silentLogger } from '../../platform/log.ts';
import type { CachedName } from '../../registry/core/cached-name.ts';
import { Keyring, type PullSecretSource } from './keyring.ts';

const HOST = 'registry.example';
const app: CachedName = { tenant: 'team-a', host: HOST, repository: 'acme/app' };
const signal = AbortSignal.timeout(60_000);
let now: number;
let secrets: Map<string, unknown>;
let names: readonly string[];
let reads: string[];
let away: boolean;

const source: PullSecretSource = {
  readSecret: (namespace, name) => {
    reads.push(`${namespace}/${name}`);
    return away ? Promise.reject(new Error('away')) : Promise.resolve(secrets.get(`${namespace}/${name}`));
  },
  secretNames: () => Promise.resolve(names),
};

beforeEach(() => {
  now = 0;
  secrets = new Map([['team-a/regcred', secret({ [HOST]: 'first' })]]);
  names = ['regcred'];
  reads = [];
  away = false;
});

function keyring(): Keyring {
  return new Keyring({
    source,
    publicSecrets: { publicSecret: () => undefined },
    freshForMs: 5_000,
    staleForMs: 60_000,
    now: () => now,
    log: silentLogger,
  });
}

/** @param passwords by host */
function secret(passwords: Record<string, string>): object {
  const auths = Object.fromEntries(
    Object.entries(passwords).map(([host, password]) => [host, { username: 'u', password }]),
  );
  return {
    type: 'kubernetes.io/dockerconfigjson',
    data: { '.dockerconfigjson': Buffer.from(JSON.stringify({ auths })).toString('base64') },
  };
}

async function passwords(ring: Keyring, name = app, host = HOST): Promise<string[]> {
  return (await ring.login(name, '1', signal)).credentials(host).map(({ password }) => password);
}

const UNUSABLE = 'odd in team-a is no pull secret that can be used';

describe('a login', () => {
  it('holds what the secrets of the image’s own namespace have for a host', async () => {
    secrets.set('team-a/more', secret({ [`${HOST}/acme`]: 'second', 'mirror.example': 'third' }));
    names = ['regcred', 'more'];
    const ring = keyring();
    expect(await passwords(ring)).toEqual(['second', 'first']);
    expect(await passwords(ring, app, 'mirror.example')).toEqual(['third']);
    expect(reads.every((ref) => ref.startsWith('team-a/'))).toBe(true);
  });

  it('of a public name is anonymous, and reads nothing', async () => {
    const open = { host: app.host, repository: app.repository };
    expect(await passwords(keyring(), open)).toEqual([]);
    expect(reads).toEqual([]);
  });

  it('of another namespace holds nothing of this one', async () => {
    expect(await passwords(keyring(), { ...app, tenant: 'team-b' })).toEqual([]);
    expect(reads).toEqual(['team-b/regcred']);
  });

  it.each([
    ['gone', undefined, 'there is no pull secret odd in team-a'],
    ['of another type', { type: 'Opaque', data: { password: 'eA==' } }, UNUSABLE],
    [
      'malformed',
      { type: 'kubernetes.io/dockerconfigjson', data: { '.dockerconfigjson': 'eA==' } },
      UNUSABLE,
    ],
    ['empty', { type: 'kubernetes.io/dockercfg', data: {} }, UNUSABLE],
  ])('is not kept from the other secrets by one that is %s, and can say so', async (_, odd, trouble) => {
    secrets.set('team-a/odd', odd);
    names = ['odd', 'regcred'];
    const ring = keyring();
    expect(await passwords(ring)).toEqual(['first']);
    expect(ring.troubles(app)).toEqual([trouble]);
    secrets.set('team-a/odd', secret({ [HOST]: 'mended' }));
    now += 5_000;
    await passwords(ring);
    expect(ring.troubles(app)).toEqual([]);
  });

  it('reads a secret once in a while, and uses none that is gone', async () => {
    const ring = keyring();
    await passwords(ring);
    now = 4_999;
    await passwords(ring);
    expect(reads).toHaveLength(1);
    now = 5_000;
    secrets.clear();
    expect(await passwords(ring)).toEqual([]);
  });

  it('outlives the Kubernetes API for some time', async () => {
    const ring = keyring();
    await passwords(ring);
    away = true;
    now = 59_999;
    expect(await passwords(ring)).toEqual(['first']);
    now = 60_000;
    expect(await passwords(ring)).toEqual([]);
  });
});

describe('a login that was refused', () => {
  it('is the same as long as the cluster says nothing else', async () => {
    const login = await keyring().login(app, '1', signal);
    expect(await login.renew(signal)).toBeUndefined();
  });

  it('is renewed at once from a rotated secret', async () => {
    const login = await keyring().login(app, '1', signal);
    secrets.set('team-a/regcred', secret({ [HOST]: 'rotated' }));
    const renewed = await login.renew(signal);
    expect(renewed?.credentials(HOST)).toMatchObject([{ password: 'rotated' }]);
    expect(await renewed?.renew(signal)).toBeUndefined();
  });

  it('is renewed with the secret that a later pod names', async () => {
    const ring = keyring();
    const login = await ring.login(app, '1', signal);
    secrets.set('team-a/later', secret({ [HOST]: 'later' }));
    names = ['later'];
    expect((await login.renew(signal))?.credentials(HOST)).toMatchObject([
      { password: 'later' },
      { password: 'first' },
    ]);
  });
});
