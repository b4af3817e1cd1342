/** Logins to our own store: a key pair each, of which the clients hold the private half and the store the public one. */
import { calculateJwkThumbprint, exportJWK, exportPKCS8, generateKeyPair, importPKCS8, type JWK } from 'jose';
import { createPublicKey } from 'node:crypto';

const ALGORITHM = 'ES256';

/** As the Secret holds it (docs/contracts.md, "A store login"). */
export interface StoreLogin {
  /** PKCS 8, PEM. */
  readonly privateKey: string;
  readonly keyId: string;
}

export async function createStoreLogin(): Promise<StoreLogin> {
  const { publicKey, privateKey } = await generateKeyPair(ALGORITHM, { extractable: true });
  return {
    privateKey: await exportPKCS8(privateKey),
    keyId: await calculateJwkThumbprint(await exportJWK(publicKey)),
  };
}

export async function isUsable(login: Partial<StoreLogin>): Promise<boolean> {
  if (!login.privateKey || !login.keyId) return false;
  return importPKCS8(login.privateKey, ALGORITHM).then(
    () => true,
    () => false,
  );
}

/** The public half as a JWK set (RFC 7517, section 5). */
export async function publicKeys({ privateKey, keyId }: StoreLogin): Promise<string> {
  const key: JWK = {
    ...(await exportJWK(createPublicKey(privateKey))),
    kid: keyId,
    alg: ALGORITHM,
    use: 'sig',
  };
  return JSON.stringify({ keys: [key] });
}
