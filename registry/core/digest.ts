/**
 * Digests of the algorithms that OCI registers, and checking content against one, whole or as it streams by.
 */
import { createHash } from 'node:crypto';
import { RegistryError } from './errors.ts';

/** A digest that has been checked, for example `sha256:e3b0…b855`. */
export type Digest = string & { readonly __digest: unique symbol };

const HEX_LENGTH = { sha256: 64, sha512: 128 } as const;

export type DigestAlgorithm = keyof typeof HEX_LENGTH;

const SYNTAX = /^([a-z0-9]+(?:[+._-][a-z0-9]+)*):([a-zA-Z0-9=_-]+)$/;

/** The text is not a digest, or OCI does not register its algorithm (image-spec 1.1, "Digests"). */
export class InvalidDigest extends RegistryError {
  override readonly name = 'InvalidDigest';
  constructor(message: string) {
    super(message, { reason: 'Invalid', code: 'DIGEST_INVALID' });
  }
}

/** @throws InvalidDigest */
export function parseDigest(text: string): Digest {
  const [, algorithm = '', hex = ''] = SYNTAX.exec(text) ?? [];
  if (algorithm === '') throw new InvalidDigest(`${quote(text)} is not a digest (algorithm:hex)`);
  if (!isAlgorithm(algorithm)) {
    throw new InvalidDigest(`digest algorithm ${quote(algorithm)} is not supported (sha256 and sha512 are)`);
  }
  if (hex.length !== HEX_LENGTH[algorithm] || !/^[0-9a-f]+$/.test(hex)) {
    throw new InvalidDigest(`a ${algorithm} digest has ${HEX_LENGTH[algorithm]} lower-case hex digits`);
  }
  return text as Digest;
}

export function isDigest(text: string): text is Digest {
  try {
    parseDigest(text);
    return true;
  } catch {
    return false;
  }
}

export function digestAlgorithm(digest: Digest): DigestAlgorithm {
  return digest.startsWith('sha512:') ? 'sha512' : 'sha256';
}

export function digestHex(digest: Digest): string {
  return digest.slice(digest.indexOf(':') + 1);
}

export function digestOf(bytes: Uint8Array, algorithm: DigestAlgorithm = 'sha256'): Digest {
  return `${algorithm}:${createHash(algorithm).update(bytes).digest('hex')}` as Digest;
}

/** Hashes bytes as they stream by. */
export interface Digester {
  /** Bytes seen so far. */
  readonly size: number;
  update(chunk: Uint8Array): void;
  /**
   * Ends the hashing.
   * @throws RegistryError with reason `DigestMismatch` when the bytes are not those of the digest
   */
  verify(): void;
}

export function createDigester(expected: Digest): Digester {
  const algorithm = digestAlgorithm(expected);
  const hash = createHash(algorithm);
  let size = 0;
  return {
    get size() {
      return size;
    },
    update(chunk) {
      hash.update(chunk);
      size += chunk.byteLength;
    },
    verify() {
      const actual = `${algorithm}:${hash.digest('hex')}`;
      if (actual !== expected) throw digestMismatch(expected, actual);
    },
  };
}

/** @throws RegistryError with reason `DigestMismatch` when the bytes are not those of the digest */
export function verifyDigest(bytes: Uint8Array, expected: Digest): void {
  const actual = digestOf(bytes, digestAlgorithm(expected));
  if (actual !== expected) throw digestMismatch(expected, actual);
}

function digestMismatch(expected: Digest, actual: string): RegistryError {
  return new RegistryError(`content has digest ${actual} instead of ${expected}`, {
    reason: 'DigestMismatch',
  });
}

function isAlgorithm(text: string): text is DigestAlgorithm {
  return Object.hasOwn(HEX_LENGTH, text);
}

function quote(text: string): string {
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}…` : text);
}
