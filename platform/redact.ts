/**
 * Keeps secrets out of logs: hides fields by name, credentials in URLs and in text that looks like a header,
 * and the capabilities in names of private images.
 */

const SECRET_NAME =
  /^(authorization|proxy-authorization|cookie|set-cookie|.*(token|password|passwd|secret|credentials?|private-?key))$/i;
/** A scheme without a limit would be looked for again from each letter of a text: quadratic time. */
const URL_IN_TEXT = /[a-z][a-z0-9+.-]{0,30}:\/\/[^\s"'<>`]+/gi;
const SCHEME_AND_CREDENTIAL = /\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}/gi;
/**
 * What admission writes into the name of a private image (`registry/core/capability.ts`), in a path as it was
 * sent too. A capability has 26 digits; fewer are left where a text was cut.
 */
const CAPABILITY = /(\.|%2e)tenant(?:\.|%2e)[0-9a-v]{16,26}(?![0-9a-z])/gi;
const HIDDEN = '[redacted]';
const MAX_DEPTH = 6;
/** Characters of one text in a log; others may choose how long theirs are. */
const MAX_TEXT = 32_768;

/** A copy of a log field without secrets. Errors become plain objects, with their causes. */
export function redact(value: unknown, depth = 0): unknown {
  if (typeof value === 'string') return redactText(value);
  if (typeof value === 'bigint') return value.toString();
  if (typeof value !== 'object' || value === null) return value;
  if (depth >= MAX_DEPTH) return '[too deep]';
  if (value instanceof Error) return describeError(value, depth);
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? null : value.toISOString();
  if (value instanceof URL) return redactUrl(value.href);
  if (Array.isArray(value)) return value.map((item) => redact(item, depth + 1));
  return Object.fromEntries(
    Object.entries(value).map(([name, item]) => [
      name,
      SECRET_NAME.test(name) ? HIDDEN : redact(item, depth + 1),
    ]),
  );
}

/**
 * Text without credentials: URLs lose user, password and the values in their query; `Bearer` and `Basic` lose
 * what follows; names of private images lose their capability.
 */
export function redactText(text: string): string {
  const cut = text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT)}…` : text;
  const urls = cut.replace(URL_IN_TEXT, redactUrl);
  return hideCapabilities(urls).replace(SCHEME_AND_CREDENTIAL, `$1 ${HIDDEN}`);
}

/** Names of private images as the cache has them: nobody needs the capability to read about an image. */
export function hideCapabilities(text: string): string {
  return text.replace(CAPABILITY, '$1tenant');
}

/** A signed URL has its signature in the query, so all values there are hidden; their names may be read. */
function redactUrl(text: string): string {
  const url = URL.parse(text);
  if (!url || (!url.username && !url.password && !url.search)) return text;
  const query = [...url.searchParams.keys()].map((name) => `${name}=${HIDDEN}`).join('&');
  return `${url.protocol}//${url.username || url.password ? `${HIDDEN}@` : ''}${url.host}${url.pathname}${query && `?${query}`}`;
}

function describeError(error: Error, depth: number): Record<string, unknown> {
  const { name, message, stack, cause, ...rest } = error as Error & Record<string, unknown>;
  return {
    name,
    message: redactText(message),
    ...(redact(rest, depth + 1) as Record<string, unknown>),
    ...(cause === undefined ? {} : { cause: redact(cause, depth + 1) }),
    // The outermost stack is enough to find the place; for causes the message will do.
    ...(depth <= 1 && stack ? { stack: redactText(stack) } : {}),
  };
}
