/** What is shown to registries, so that it can be taken out again of what they answer: a hostile one may repeat it. */
import type { Credential } from '../../core/credentials.ts';

const HIDDEN = '[redacted]';
/** Shorter ones cannot be told from ordinary text. */
const MIN_LENGTH = 4;

/** User name and password as Basic authentication sends them (RFC 7617). */
export function basicPair({ username, password }: Credential): string {
  return Buffer.from(`${username}:${password}`).toString('base64');
}

/** Everything that an Authorization header tells. */
export function secretsIn(header: string | undefined): readonly string[] {
  const [scheme = '', value = ''] = header?.split(' ') ?? [];
  if (scheme.toLowerCase() !== 'basic') return [value];
  const pair = Buffer.from(value, 'base64').toString('utf8');
  return [value, pair, pair.slice(pair.indexOf(':') + 1)];
}

/** Everything that is shown to a token server. */
export function secretsOf(credential: Credential | undefined): readonly string[] {
  if (credential === undefined) return [];
  const { password, identityToken = '' } = credential;
  return [identityToken, basicPair(credential), password];
}

/** Text of a registry without these secrets, and without what URLs in it hold of users and signatures. */
export function hideSecrets(text: string, secrets: readonly string[]): string {
  const worth = secrets.filter(({ length }) => length >= MIN_LENGTH);
  return worth
    .reduce((rest, secret) => rest.replaceAll(secret, HIDDEN), text)
    .replaceAll(/:\/\/[^\s/@]*@/g, '://')
    .replaceAll(/(:\/\/[^\s?"'<>]*)\?[^\s"'<>]*/g, `$1?${HIDDEN}`);
}
