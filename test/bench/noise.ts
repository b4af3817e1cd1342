/** Bytes that cannot be compressed, the same for the same seed. */
import { createCipheriv, hash } from 'node:crypto';

export function noise(seed: string, bytes: number): Buffer {
  const key = hash('sha256', seed, 'buffer');
  return createCipheriv('aes-256-ctr', key, Buffer.alloc(16)).update(Buffer.alloc(bytes));
}
