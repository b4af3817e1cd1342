/** The public keys of the store's logins, as the controller publishes them. */
import { join } from 'node:path';
import { z } from 'zod';
import { FileValue } from '../platform/file-watch.ts';
import type { Logger } from '../platform/log.ts';
import type { Role } from './distribution-config.ts';

/** A public key of ours: P-256, named. Anything else in the file (above all a private part) is not passed on. */
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

export type Trust = Readonly<Record<Role, KeySet>>;

/** Keys that are missing or are no keys of ours. */
export class TrustError extends Error {
  override readonly name = 'TrustError';
  readonly code = 'InvalidTrust';
}

/**
 * The keys in the trust folder, followed as the kubelet swaps them.
 * @throws {TrustError} when a file is missing or is no set of public P-256 keys
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

/** The keys whose tokens an instance accepts. Who may write may read as well. */
export function acceptedKeys(trust: Trust, role: Role): KeySet {
  return role === 'writer' ? trust.writer : { keys: [...trust.reader.keys, ...trust.writer.keys] };
}

function parseKeySet(path: string, content: Buffer | undefined): KeySet {
  if (!content) throw new TrustError(`${path} does not exist`);
  try {
    return keySet.parse(JSON.parse(content.toString('utf8')));
  } catch (cause) {
    throw new TrustError(`${path} is not a JSON Web Key Set of public P-256 keys that have a kid`, { cause });
  }
}
