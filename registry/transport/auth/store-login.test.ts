import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { type CryptoKey, decodeProtectedHeader, exportPKCS8, generateKeyPair, jwtVerify } from 'jose';
import type { Scope } from './scope.ts';
import { readStoreLogin, StoreAuthenticator } from './store-login.ts';

const scopes: Scope[] = [{ repository: 'docker.io/library/nginx', actions: ['pull', 'push'] }];
const { signal } = new AbortController();
let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'larder-login-'));
});
afterEach(async () => {
  await rm(folder, { recursive: true });
});

async function writeKey(keyId: string): Promise<CryptoKey> {
  const { privateKey, publicKey } = await generateKeyPair('ES256', { extractable: true });
  await writeFile(join(folder, 'private-key.pem'), await exportPKCS8(privateKey));
  await writeFile(join(folder, 'key-id'), `${keyId}\n`);
  return publicKey;
}

async function claims(header: string | undefined, key: CryptoKey): Promise<unknown> {
  const token = header?.replace('Bearer ', '') ?? '';
  return (await jwtVerify(token, key, { issuer: 'larder', audience: 'larder-store' })).payload['access'];
}

describe('a login with a key', () => {
  it('signs tokens for the repositories asked for, and no others', async () => {
    const key = await writeKey('k1');
    const login = new StoreAuthenticator(folder);
    const header = await login.authorization(scopes, signal);
    expect(await claims(header, key)).toEqual([
      { type: 'repository', name: 'docker.io/library/nginx', actions: ['pull', 'push'] },
    ]);
    expect(decodeProtectedHeader(header?.replace('Bearer ', '') ?? '')).toMatchObject({
      alg: 'ES256',
      kid: 'k1',
    });
  });

  it('signs once for the same scope', async () => {
    await writeKey('k1');
    const login = new StoreAuthenticator(folder);
    const first = await login.authorization(scopes, signal);
    expect(await login.authorization(scopes, signal)).toBe(first);
    expect(await login.authorization([{ repository: 'other', actions: ['pull'] }], signal)).not.toBe(first);
  });

  it('reads the folder again when the store refuses, once', async () => {
    await writeKey('old');
    const login = new StoreAuthenticator(folder);
    const header = await login.authorization(scopes, signal);
    const key = await writeKey('new');
    const renewed = await login.renew({ challenges: [], header, tried: 0, status: 401 }, scopes, signal);
    expect(await claims(renewed?.header, key)).toHaveLength(1);
    expect(
      await login.renew({ challenges: [], header, tried: 1, status: 401 }, scopes, signal),
    ).toBeUndefined();
  });
});

describe('a login folder', () => {
  it('may hold a user name and a password', async () => {
    await writeFile(join(folder, 'username'), 'u');
    await writeFile(join(folder, 'password'), 'p\n');
    const header = await new StoreAuthenticator(folder).authorization(scopes, signal);
    expect(header).toBe(`Basic ${Buffer.from('u:p').toString('base64')}`);
  });

  it('may hold nothing, or not be given', async () => {
    expect(await new StoreAuthenticator(folder).authorization(scopes, signal)).toBeUndefined();
    expect(await new StoreAuthenticator(undefined).authorization(scopes, signal)).toBeUndefined();
  });

  it.each([['private-key.pem'], ['key-id'], ['username'], ['password']])(
    'is refused with only %s',
    async (name) => {
      await writeFile(join(folder, name), 'x');
      await expect(readStoreLogin(folder)).rejects.toThrow('holds only half of a login');
    },
  );

  it('is refused with a key that is none, without telling it', async () => {
    await writeFile(join(folder, 'key-id'), 'k');
    await writeFile(join(folder, 'private-key.pem'), 's3cret');
    const error: unknown = await readStoreLogin(folder).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ reason: 'Invalid' });
    expect(inspect(error)).not.toContain('s3cret');
  });
});
