/** Keeps secrets out of logs: hides values by field name, and credentials inside URLs and header-like text. */

const SECRET_NAME =
  /^(authorization|proxy-authorization|cookie|set-cookie|.*(token|password|passwd|secret|credentials?|private-?key))$/i;
const URL_IN_TEXT = /\b[a-z][a-z0-9+.-]*:\/\/[^\s"'<>`]+/gi;
const SCHEME_AND_CREDENTIAL = /\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}/gi;
const HIDDEN = '[redacted]';
const MAX_DEPTH = 6;

/** A copy of a log field that holds no secret; errors become plain objects with their chain of causes. */
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

/** Text without credentials: URLs lose user, password and the values of their query, `Bearer …` and `Basic …` their rest. */
export function redactText(text: string): string {
  return text.replace(URL_IN_TEXT, redactUrl).replace(SCHEME_AND_CREDENTIAL, `$1 ${HIDDEN}`);
}

/** Signed URLs carry their signature in the query, so every value of a query goes; the names stay, they help. */
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
    // Causes are told by their messages; one stack, the outermost, is enough to find the place.
    ...(depth <= 1 && stack ? { stack: redactText(stack) } : {}),
  };
}
