/**
 * Larder's own certificate authority, the serving certificates that it issues, and the pure decision when to
 * renew them.
 */
// The library needs this polyfill to be imported before it.
import 'reflect-metadata';
import { X509Certificate as NodeCertificate, createPrivateKey, randomBytes, webcrypto } from 'node:crypto';
import { isIP } from 'node:net';
import * as x509 from '@peculiar/x509';

/** A certificate and its private key, both PEM (the key PKCS 8, P-256). */
export interface KeyPairPem {
  readonly cert: string;
  readonly key: string;
}

const KEY_ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256' } as const;
const SIGNING = { ...KEY_ALGORITHM, hash: 'SHA-256' } as const;
const DAY_MS = 86_400_000;
/** Certificates are valid from a little before they are made, for machines whose clock is slow. */
const BACKDATE_MS = 60 * 60_000;

/** Makes a self-signed CA that may sign leaf certificates only. `now` is milliseconds since the epoch. */
export async function createCa(commonName: string, days: number, now: number): Promise<KeyPairPem> {
  const keys = await newKeys();
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: serial(),
    name: distinguishedName(commonName),
    keys,
    ...validity(days, now),
    signingAlgorithm: SIGNING,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return { cert: pem(certificate), key: await exportKey(keys.privateKey) };
}

/**
 * Issues a TLS server certificate.
 * @param names DNS names and IP addresses; the first is its common name
 * @throws when `ca` is not a certificate with its key
 */
export async function issueServerCertificate(
  ca: KeyPairPem,
  names: readonly [string, ...string[]],
  days: number,
  now: number,
): Promise<KeyPairPem> {
  const issuer = new x509.X509Certificate(ca.cert);
  const keys = await newKeys();
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: serial(),
    subject: distinguishedName(names[0]),
    issuer: issuer.subject,
    publicKey: keys.publicKey,
    signingKey: await importKey(ca.key),
    ...validity(days, now),
    signingAlgorithm: SIGNING,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
      new x509.SubjectAlternativeNameExtension(
        names.map((name) => ({ type: isIP(name) ? ('ip' as const) : ('dns' as const), value: name })),
      ),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
      await x509.AuthorityKeyIdentifierExtension.create(issuer.publicKey),
    ],
  });
  return { cert: pem(certificate), key: await exportKey(keys.privateKey) };
}

/** Why a certificate must be replaced. */
export type RenewalReason = 'missing' | 'unreadable' | 'expiring' | 'wrong-names' | 'wrong-issuer';

/** What a certificate must be like. */
export interface WantedCertificate {
  /** DNS names and IP addresses it must be valid for; none for a CA. */
  readonly names: readonly string[];
  /** The CA (PEM) that must have signed it; absent for a CA. */
  readonly issuer?: string;
}

/**
 * Why a certificate must be replaced, if it must: it is unusable, or less than a third of its life is left.
 */
export function renewalReason(
  pair: Partial<KeyPairPem> | undefined,
  wanted: WantedCertificate,
  now: number,
): RenewalReason | undefined {
  if (!pair?.cert || !pair.key) return 'missing';
  const certificate = readPair(pair.cert, pair.key);
  if (!certificate) return 'unreadable';
  const from = certificate.validFromDate.getTime();
  const until = certificate.validToDate.getTime();
  if (now > until - (until - from) / 3) return 'expiring';
  if (!wanted.names.every((name) => covers(certificate, name))) return 'wrong-names';
  if (wanted.issuer !== undefined && !isSignedBy(certificate, wanted.issuer)) return 'wrong-issuer';
  return undefined;
}

/** The certificates of a PEM bundle, in order; text between them is ignored. */
export function splitBundle(bundle: string): readonly string[] {
  return [...bundle.matchAll(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g)].map(
    ([cert]) => `${cert}\n`,
  );
}

/** A bundle with `current` first, then the certificates of `bundle` that have not expired. */
export function mergeBundle(bundle: string, current: string, now: number): string {
  const kept = splitBundle(bundle).filter((cert) => {
    const certificate = readCertificate(cert);
    return certificate !== undefined && certificate.validToDate.getTime() > now;
  });
  return [...new Set([...splitBundle(current), ...kept])].join('');
}

/** When a certificate (PEM) expires, in milliseconds since the epoch; `undefined` when it cannot be read. */
export function expiryOf(cert: string): number | undefined {
  return readCertificate(cert)?.validToDate.getTime();
}

/** When a certificate (PEM) was made, in milliseconds since the epoch; `undefined` when it cannot be read. */
export function issuedAt(cert: string): number | undefined {
  const from = readCertificate(cert)?.validFromDate.getTime();
  return from === undefined ? undefined : from + BACKDATE_MS;
}

function covers(certificate: NodeCertificate, name: string): boolean {
  return (isIP(name) ? certificate.checkIP(name) : certificate.checkHost(name)) !== undefined;
}

/** Whether one of the CAs of a bundle signed a certificate (both PEM). */
export function isTrusted(cert: string, bundle: string): boolean {
  const certificate = readCertificate(cert);
  return certificate !== undefined && splitBundle(bundle).some((ca) => isSignedBy(certificate, ca));
}

function isSignedBy(certificate: NodeCertificate, issuerPem: string): boolean {
  const issuer = readCertificate(issuerPem);
  return issuer !== undefined && certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);
}

function readPair(cert: string, key: string): NodeCertificate | undefined {
  const certificate = readCertificate(cert);
  try {
    return certificate?.checkPrivateKey(createPrivateKey(key)) ? certificate : undefined;
  } catch {
    return undefined;
  }
}

function readCertificate(cert: string): NodeCertificate | undefined {
  try {
    return new NodeCertificate(cert);
  } catch {
    return undefined;
  }
}

function newKeys(): Promise<webcrypto.CryptoKeyPair> {
  return webcrypto.subtle.generateKey(KEY_ALGORITHM, true, ['sign', 'verify']);
}

function importKey(key: string): Promise<webcrypto.CryptoKey> {
  const der = createPrivateKey(key).export({ type: 'pkcs8', format: 'der' });
  return webcrypto.subtle.importKey('pkcs8', der, KEY_ALGORITHM, false, ['sign']);
}

async function exportKey(key: webcrypto.CryptoKey): Promise<string> {
  return (
    x509.PemConverter.encode(await webcrypto.subtle.exportKey('pkcs8', key), 'PRIVATE KEY').trimEnd() + '\n'
  );
}

function pem(certificate: x509.X509Certificate): string {
  return certificate.toString('pem').trimEnd() + '\n';
}

/** 16 random bytes. The first bit is clear, since a serial number is positive (RFC 5280, 4.1.2.2). */
function serial(): string {
  const bytes = randomBytes(16);
  bytes.writeUInt8(bytes.readUInt8(0) & 0x7f, 0);
  return bytes.toString('hex');
}

/** X.520 limits a common name to 64 characters; clients check the alternative names. */
function distinguishedName(commonName: string): x509.JsonName {
  return [{ CN: [commonName.slice(0, 64)] }];
}

function validity(days: number, now: number): { notBefore: Date; notAfter: Date } {
  return { notBefore: new Date(now - BACKDATE_MS), notAfter: new Date(now + days * DAY_MS) };
}
