/**
 * The secrets that requests hold, so that they can be removed from error messages: a hostile registry may
 * repeat them.
 */
import type { Credential } from '../../core/credentials.ts';

const HIDDEN = '[redacted]';
/** Shorter ones cannot be told from ordinary text. */
const MIN_LENGTH = 4;

/** User name and password as Basic authentication sends them (RFC 7617). */
export function basicPair({ username, password }: Credential): string {
  return Buffer.from(`${username}:${password}`).toString('base64');
}

/** All secrets in an Authorization header. */
export function secretsIn(header: string | undefined): readonly string[] {
  const [scheme = '', value = ''] = header?.split(' ') ?? [];
  if (scheme.toLowerCase() !== 'basic') return [value];
  const pair = Buffer.from(value, 'base64').toString('utf8');
  return [value, pair, pair.slice(pair.indexOf(':') + 1)];
}

/** All secrets that a token server is shown. */
export function secretsOf(credential: Credential | undefined): readonly string[] {
  if (credential === undefined) return [];
  const { password, identityToken = '' } = credential;
  return [identityToken, basicPair(credential), password];
}

/** A registry's text without these secrets, and without the user information and queries of URLs in it. */
export function hideSecrets(text: string, secrets: readonly string[]): string {
  const worth = secrets.filter(({ length }) => length >= MIN_LENGTH);
  return worth
    .reduce((rest, secret) => rest.replaceAll(secret, HIDDEN), text)
    .replaceAll(/:\/\/[^\s/@]*@/g, '://')
    .replaceAll(/:\/\/[^\s"'<>]*/g, hideQuery);
}

/** Not by the pattern: one that fails at the end of a text without `?` is tried again from each `://`. */
function hideQuery(afterScheme: string): string {
  const query = afterScheme.indexOf('?');
  return query < 0 ? afterScheme : `${afterScheme.slice(0, query)}?${HIDDEN}`;
}
