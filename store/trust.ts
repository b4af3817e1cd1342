/** The public keys of the store's logins, which the controller publishes. */
import { join } from 'node:path';
import { z } from 'zod';
import { FileValue } from '../platform/file-watch.ts';
import type { Logger } from '../platform/log.ts';
import type { InstanceRole } from './distribution-config.ts';

/** A public P-256 key with an id. Other members, above all a private part, are dropped. */
const publicKey = z.object({
  kty: z.literal('EC'),
  crv: z.literal('P-256'),
  x: z.string().min(1),
  y: z.string().min(1),
  kid: z.string().min(1),
});

/** RFC 7517 section 5. */
const keySet = z.object({ keys: z.array(publicKey).min(1) });
export type KeySet = z.infer<typeof keySet>;

export type Trust = Readonly<Record<InstanceRole, KeySet>>;

/** The keys are missing, or are not what we publish. */
export class TrustError extends Error {
  override readonly name = 'TrustError';
  readonly code = 'InvalidTrust';
}

/**
 * Reads the keys in the trust folder, and follows them when the kubelet swaps them.
 * @throws {TrustError} when a file is missing or is not a set of public P-256 keys
 */
export function readTrust(folder: string, log: Logger): Promise<FileValue<Trust>> {
  const paths = [join(folder, 'reader.jwks.json'), join(folder, 'writer.jwks.json')];
  return FileValue.read({
    paths,
    log,
    parse: (contents) => {
      const [reader, writer] = paths.map((path, i) => parseKeySet(path, contents[i]));
      return { reader, writer } as Trust;
    },
  });
}

/** The keys of the tokens that an instance accepts. The writing login may read too. */
export function acceptedKeys(trust: Trust, role: InstanceRole): KeySet {
  return role === 'writer' ? trust.writer : { keys: [...trust.reader.keys, ...trust.writer.keys] };
}

function parseKeySet(path: string, content: Buffer | undefined): KeySet {
  if (!content) throw new TrustError(`${path} does not exist`);
  try {
    return keySet.parse(JSON.parse(content.toString('utf8')));
  } catch (cause) {
    throw new TrustError(`${path} is not a JSON Web Key Set of public P-256 keys with a kid`, { cause });
  }
}
