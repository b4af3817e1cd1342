/** Schemas for kinds of settings. Each turns the text of a variable into a typed value. */
import { z } from 'zod';

/** Where a server listens: on all addresses when there is no host. */
export interface ListenAddress {
  readonly host?: string;
  readonly port: number;
}

const UNITS_MS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
const UNITS_BYTES = { '': 1, Ki: 2 ** 10, Mi: 2 ** 20, Gi: 2 ** 30, Ti: 2 ** 40 } as const;

/** `30s`, `1h30m`, `250ms`, `0` → milliseconds. */
export function duration(): z.ZodType<number, string> {
  return parsed('must be a duration such as 250ms, 30s, 1h30m or 0', (text) => {
    if (text === '0') return 0;
    if (!/^(\d+(ms|s|m|h|d))+$/.test(text)) return undefined;
    const parts = [...text.matchAll(/(\d+)(ms|[smhd])/g)];
    return parts.reduce((sum, [, n, unit]) => sum + Number(n) * UNITS_MS[unit as keyof typeof UNITS_MS], 0);
  });
}

/** `1048576`, `512Mi`, `2Gi` → bytes. */
export function bytes(): z.ZodType<number, string> {
  return parsed('must be a number of bytes such as 1048576, 512Mi or 2Gi', (text) => {
    const match = /^(\d+)(Ki|Mi|Gi|Ti|)$/.exec(text);
    return match ? Number(match[1]) * UNITS_BYTES[match[2] as keyof typeof UNITS_BYTES] : undefined;
  });
}

/** A whole number from `min` to `max`, both included. */
export function integer(min = 0, max = Number.MAX_SAFE_INTEGER): z.ZodType<number, string> {
  return parsed(`must be a whole number from ${min} to ${max}`, (text) => {
    const value = Number(text);
    return /^-?\d+$/.test(text) && value >= min && value <= max ? value : undefined;
  });
}

/** `true` or `false`. */
export function boolean(): z.ZodType<boolean, string> {
  return parsed('must be true or false', (text) => ({ true: true, false: false })[text]);
}

/** `a, b` → `['a', 'b']`; empty text → `[]`. */
export function list(): z.ZodType<readonly string[], string> {
  return parsed('must be a comma-separated list', (text) =>
    text
      .split(',')
      .map((item) => item.trim())
      .filter((item) => item !== ''),
  );
}

/** An absolute http or https URL without credentials, query or fragment. */
export function httpUrl(): z.ZodType<URL, string> {
  return parsed('must be an http:// or https:// URL without user, password, query or fragment', (text) => {
    const url = URL.parse(text);
    if (!url || !/^https?:$/.test(url.protocol)) return undefined;
    return url.username || url.password || url.search || url.hash ? undefined : url;
  });
}

/** `:8080`, `127.0.0.1:7439`, `[::1]:7439`. With port 0 the system chooses one. */
export function listenAddress(): z.ZodType<ListenAddress, string> {
  return parsed('must be an address to listen on such as :8080, 127.0.0.1:7439 or [::1]:7439', parseListen);
}

/** Any text that is not empty. */
export function text(): z.ZodType<string, string> {
  return z.string();
}

/** One of a few words. */
export function oneOf<const T extends string>(...words: readonly T[]): z.ZodType<T, string> {
  return parsed(`must be one of ${words.join(', ')}`, (given) => words.find((word) => word === given));
}

function parseListen(text: string): ListenAddress | undefined {
  const match = /^(?:\[(?<ipv6>[0-9a-fA-F:.]+)\]|(?<name>[^:[\]]*)):(?<port>\d{1,5})$/.exec(text);
  const port = Number(match?.groups?.['port']);
  if (!(port <= 65_535)) return undefined;
  const host = match?.groups?.['ipv6'] ?? match?.groups?.['name'];
  return { ...(host ? { host } : {}), port };
}

/** A schema from a function that returns `undefined` for text that it cannot parse. */
function parsed<T>(message: string, parse: (text: string) => T | undefined): z.ZodType<T, string> {
  return z.string().transform((text, context) => {
    const value = parse(text);
    if (value !== undefined) return value;
    context.addIssue({ code: 'custom', message });
    return z.NEVER;
  });
}
