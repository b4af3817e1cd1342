/**
 * Logins to the release's own store. Each is a key pair: clients hold the private key, the store the public
 * one.
 */
import { calculateJwkThumbprint, exportJWK, exportPKCS8, generateKeyPair, importPKCS8, type JWK } from 'jose';
import { createPublicKey } from 'node:crypto';

const ALGORITHM = 'ES256';

/** As a Secret holds it (docs/contracts.md, "A store login"). */
export interface StoreLoginSecret {
  /** PKCS 8, PEM. */
  readonly privateKey: string;
  readonly keyId: string;
}

export async function createStoreLogin(): Promise<StoreLoginSecret> {
  const { publicKey, privateKey } = await generateKeyPair(ALGORITHM, { extractable: true });
  return {
    privateKey: await exportPKCS8(privateKey),
    keyId: await calculateJwkThumbprint(await exportJWK(publicKey)),
  };
}

export async function isUsable(login: Partial<StoreLoginSecret>): Promise<boolean> {
  if (!login.privateKey || !login.keyId) return false;
  return importPKCS8(login.privateKey, ALGORITHM).then(
    () => true,
    () => false,
  );
}

/** The public key as a JWK set (RFC 7517, section 5). */
export async function publicKeys({ privateKey, keyId }: StoreLoginSecret): Promise<string> {
  const key: JWK = {
    ...(await exportJWK(createPublicKey(privateKey))),
    kid: keyId,
    alg: ALGORITHM,
    use: 'sig',
  };
  return JSON.stringify({ keys: [key] });
}
