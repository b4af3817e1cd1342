/**
 * Pull secrets: their two formats, and which of their entries the kubelet would try for an image, in which
 * order.
 */
import { z } from 'zod';
import { RegistryError } from './errors.ts';
import { globMatches } from './glob.ts';
import { DOCKER_HUB, type ImageName } from './reference.ts';

export interface Credential {
  readonly username: string;
  readonly password: string;
  /** An OAuth 2 refresh token, which registries with a login by browser give instead of a password. */
  readonly identityToken?: string;
}

/** One entry of a pull secret: a credential, with the host (globs allowed) and path prefix that it is for. */
export interface KeyringEntry {
  readonly pattern: string;
  readonly credential: Credential;
}

export type PullSecretType = 'kubernetes.io/dockerconfigjson' | 'kubernetes.io/dockercfg';

const entrySchema = z.object({
  auth: z.string().optional(),
  username: z.string().optional(),
  password: z.string().optional(),
  identitytoken: z.string().optional(),
});
const dockercfgSchema = z.record(z.string(), entrySchema);
const dockerconfigjsonSchema = z.object({ auths: dockercfgSchema.default({}) });

/**
 * @param text the value of the Secret's key, decoded from base64
 * @throws RegistryError with reason `Invalid`; the message quotes nothing of the secret
 */
export function parsePullSecret(type: PullSecretType, text: string): KeyringEntry[] {
  const json = parseJson(text);
  const result =
    type === 'kubernetes.io/dockercfg'
      ? dockercfgSchema.safeParse(json)
      : dockerconfigjsonSchema.transform(({ auths }) => auths).safeParse(json);
  if (!result.success) throw invalid('the pull secret does not have the form of its type');
  return Object.entries(result.data).flatMap(([location, entry]) => {
    const pattern = parseLocation(location);
    const credential = toCredential(entry);
    return pattern === undefined || credential === undefined ? [] : [{ pattern, credential }];
  });
}

/**
 * The credentials to try for an image, most specific first: hosts match by equal ports and part by part with
 * globs, paths by prefix (kubelet: `pkg/credentialprovider`, "Configure a kubelet image credential
 * provider").
 */
export function matchCredentials(entries: readonly KeyringEntry[], image: ImageName): Credential[] {
  // The kubelet's order: descending by pattern, so longer paths of a host come before shorter ones.
  const ordered = entries.toSorted((a, b) => (a.pattern < b.pattern ? 1 : a.pattern > b.pattern ? -1 : 0));
  const matching = ordered.filter(({ pattern }) => patternMatches(pattern, image));
  const hub = ordered.filter(({ pattern }) => image.host === DOCKER_HUB && pattern === 'index.docker.io');
  return (matching.length > 0 ? matching : hub).map(({ credential }) => credential);
}

function patternMatches(pattern: string, image: ImageName): boolean {
  const slash = pattern.indexOf('/');
  const host = slash < 0 ? pattern : pattern.slice(0, slash);
  const path = slash < 0 ? '' : pattern.slice(slash);
  if (!`/${image.repository}`.startsWith(path)) return false;
  const [wanted, given] = [splitPort(host), splitPort(image.host)];
  if (wanted.port !== given.port) return false;
  if (given.name.startsWith('[')) return wanted.name === given.name;
  const [globs, parts] = [wanted.name.split('.'), given.name.split('.')];
  return globs.length === parts.length && parts.every((part, index) => globMatches(globs[index] ?? '', part));
}

function splitPort(host: string): { name: string; port: string } {
  const [, name = host, port = ''] = /^(.*):([0-9]+)$/.exec(host) ?? [];
  return { name, port };
}

/** Drops the scheme and the API's version: `https://index.docker.io/v1/` → `index.docker.io`. */
function parseLocation(location: string): string | undefined {
  const bare = location.replace(/^https?:\/\//, '');
  const slash = bare.indexOf('/');
  const host = (slash < 0 ? bare : bare.slice(0, slash)).toLowerCase();
  const path = (slash < 0 ? '' : bare.slice(slash)).replace(/^\/v[12]\//, '/');
  if (host === '') return undefined;
  return path === '/' ? host : host + path;
}

function toCredential(entry: z.infer<typeof entrySchema>): Credential | undefined {
  const { auth, identitytoken } = entry;
  const decoded = auth
    ? Buffer.from(auth, 'base64').toString('utf8')
    : `${entry.username ?? ''}:${entry.password ?? ''}`;
  const colon = decoded.indexOf(':');
  const username = decoded.slice(0, Math.max(colon, 0));
  const password = withoutEnd(decoded.slice(colon + 1), '\0');
  if (identitytoken) return { username, password, identityToken: identitytoken };
  return colon > 0 ? { username, password } : undefined;
}

/** Not by a pattern, which would try each run of the character to its end. */
function withoutEnd(text: string, character: string): string {
  let end = text.length;
  while (end > 0 && text[end - 1] === character) end -= 1;
  return text.slice(0, end);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // The cause is dropped: the parser's message quotes the text, which is the secret.
    throw invalid('the pull secret is not JSON');
  }
}

function invalid(message: string): RegistryError {
  return new RegistryError(message, { reason: 'Invalid' });
}
