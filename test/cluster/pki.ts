/** Certificates of a test cluster: one CA for Kubernetes, one private CA for the "internet". */
import 'reflect-metadata'; // what x509's own imports ask for
import { generateKeyPairSync, webcrypto } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as x509 from '@peculiar/x509';

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
const oneDay = 24 * 60 * 60 * 1000;

/** Paths of a certificate and its key, both PEM. */
export interface CertificateFiles {
  readonly cert: string;
  readonly key: string;
}

export interface CertificateRequest {
  readonly commonName: string;
  readonly organization?: string;
  readonly dns?: readonly string[];
  readonly ip?: readonly string[];
  readonly notAfter?: Date;
}

/** An authority that writes what it issues into one folder. */
export class Authority {
  readonly certFile: string;
  readonly #folder: string;
  readonly #name: string;
  readonly #keys: webcrypto.CryptoKeyPair;

  private constructor(folder: string, name: string, keys: webcrypto.CryptoKeyPair) {
    this.#folder = folder;
    this.#name = name;
    this.#keys = keys;
    this.certFile = join(folder, `${name}-ca.crt`);
  }

  static async create(folder: string, name: string): Promise<Authority> {
    mkdirSync(folder, { recursive: true });
    const keys = await newKeys();
    const authority = new Authority(folder, name, keys);
    const certificate = await x509.X509CertificateGenerator.createSelfSigned({
      name: `CN=${name}`,
      ...validity(),
      signingAlgorithm: algorithm,
      keys,
      extensions: [
        new x509.BasicConstraintsExtension(true, undefined, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
        await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
      ],
    });
    writeFileSync(authority.certFile, certificate.toString('pem'));
    writeFileSync(authority.#keyFile, await privatePem(keys.privateKey), { mode: 0o600 });
    return authority;
  }

  /** Opens an authority that another process created. */
  static async open(folder: string, name: string): Promise<Authority> {
    const [der] = x509.PemConverter.decode(readFileSync(join(folder, `${name}-ca.key`), 'utf8'));
    if (!der) throw new Error(`no key in ${name}-ca.key`);
    const privateKey = await webcrypto.subtle.importKey('pkcs8', der, algorithm, true, ['sign']);
    const certificate = new x509.X509Certificate(readFileSync(join(folder, `${name}-ca.crt`), 'utf8'));
    const spki = certificate.publicKey.rawData;
    const publicKey = await webcrypto.subtle.importKey('spki', spki, algorithm, true, ['verify']);
    return new Authority(folder, name, { privateKey, publicKey });
  }

  get #keyFile(): string {
    return join(this.#folder, `${this.#name}-ca.key`);
  }

  /** Issues a certificate for server and client use, as `<file>.crt` and `<file>.key`. */
  async issue(file: string, request: CertificateRequest): Promise<CertificateFiles> {
    const keys = await newKeys();
    const names = [
      ...(request.dns ?? []).map((value) => ({ type: 'dns' as const, value })),
      ...(request.ip ?? []).map((value) => ({ type: 'ip' as const, value })),
    ];
    const certificate = await x509.X509CertificateGenerator.create({
      subject: new x509.Name([
        ...(request.organization ? [{ O: [request.organization] }] : []),
        { CN: [request.commonName] },
      ]).toString(),
      issuer: `CN=${this.#name}`,
      ...validity(request.notAfter),
      signingAlgorithm: algorithm,
      publicKey: keys.publicKey,
      signingKey: this.#keys.privateKey,
      extensions: [
        new x509.BasicConstraintsExtension(false, undefined, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
        new x509.ExtendedKeyUsageExtension([
          x509.ExtendedKeyUsage.serverAuth,
          x509.ExtendedKeyUsage.clientAuth,
        ]),
        ...(names.length > 0 ? [new x509.SubjectAlternativeNameExtension(names)] : []),
        await x509.AuthorityKeyIdentifierExtension.create(this.#keys.publicKey),
      ],
    });
    const files = { cert: join(this.#folder, `${file}.crt`), key: join(this.#folder, `${file}.key`) };
    writeFileSync(files.cert, certificate.toString('pem'));
    writeFileSync(files.key, await privatePem(keys.privateKey), { mode: 0o600 });
    return files;
  }
}

/** The key pair that signs ServiceAccount tokens; RSA, as in most clusters. */
export function createServiceAccountKey(folder: string): {
  readonly publicKey: string;
  readonly privateKey: string;
} {
  const files = {
    publicKey: join(folder, 'service-account.pub'),
    privateKey: join(folder, 'service-account.key'),
  };
  const pair = generateKeyPairSync('rsa', {
    modulusLength: 2048,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  });
  writeFileSync(files.publicKey, pair.publicKey);
  writeFileSync(files.privateKey, pair.privateKey, { mode: 0o600 });
  return files;
}

async function newKeys(): Promise<webcrypto.CryptoKeyPair> {
  return await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
}

async function privatePem(key: webcrypto.CryptoKey): Promise<string> {
  return x509.PemConverter.encode(await webcrypto.subtle.exportKey('pkcs8', key), 'PRIVATE KEY');
}

/** From a day ago: the clock of a suspended machine may jump. */
function validity(notAfter = new Date(Date.now() + 365 * oneDay)): { notBefore: Date; notAfter: Date } {
  return { notBefore: new Date(Math.min(Date.now(), notAfter.getTime()) - oneDay), notAfter };
}
