/** One HTTP exchange without bulk: a deadline for the head, one for silence in the answer, and the caller's own signal. */
import type { Readable } from 'node:stream';
import type { Dispatcher } from 'undici';
import { networkError } from './http-error.ts';
import { Watchdog } from './watchdog.ts';

export interface Deadlines {
  /** From sending the request (with a body: from its last byte) to the head of the answer. Milliseconds. */
  readonly headMs: number;
  /** The longest pause between two chunks of a body, sent or received. Milliseconds. */
  readonly silenceMs: number;
}

export type Method = 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

export interface HttpRequest {
  readonly method: Method;
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  /**
   * Bytes can be sent again, after a challenge for example; a stream cannot. Its chunks have to stay as they are until the next one
   * is asked for.
   */
  readonly body?: Uint8Array | AsyncIterable<Uint8Array>;
  /** The answer may be large, so that how its bytes are moved matters. */
  readonly bulk?: boolean;
}

export interface HttpResponse {
  readonly status: number;
  /** In lower case; of repeated headers the values joined by commas. */
  header(name: string): string | undefined;
  /** Where the answer came from, after redirects. Not fit for logs. */
  readonly url: URL;
  /** Has to be read to its end or destroyed. Its errors are the network's own: see `networkError`. */
  readonly body: Readable;
}

/** One whose body, if it has any, is at hand. */
export type PlainRequest = HttpRequest & { readonly body?: Uint8Array };

/**
 * @param signal ends the exchange, the reading of the body included
 * @throws RegistryError with reason `Unreachable`, `TimedOut` or `Canceled`
 */
export async function exchange(
  dispatcher: Dispatcher,
  { method, url, headers, body }: PlainRequest,
  deadlines: Deadlines,
  signal: AbortSignal,
): Promise<HttpResponse> {
  const watchdog = new Watchdog(url);
  try {
    signal.throwIfAborted();
    watchdog.expect('head', deadlines.headMs);
    const abort = AbortSignal.any([signal, watchdog.signal]);
    const sent = dispatcher.request({
      origin: url.origin,
      path: url.pathname + url.search,
      method,
      headers,
      // While the reader pauses, undici does not count this time.
      bodyTimeout: deadlines.silenceMs,
      body: body ?? null,
      signal: abort,
    });
    const response = await untilAborted(sent, abort);
    watchdog.clear();
    const { statusCode: status, headers: answered, body: stream } = response;
    return { status, url, body: stream, header: (name) => joined(answered[name]) };
  } catch (error) {
    watchdog.clear();
    if (watchdog.signal.aborted) throw networkError(watchdog.signal.reason, url);
    if (signal.aborted) throw networkError(signal.reason, url);
    throw networkError(error, url);
  }
}

/** undici looks at the signal only once it is connected, which to a black hole takes as long as connecting may. */
async function untilAborted(
  sent: Promise<Dispatcher.ResponseData>,
  signal: AbortSignal,
): Promise<Dispatcher.ResponseData> {
  const aborted = Promise.withResolvers<never>();
  const onAbort = (): void => {
    aborted.reject(signal.reason as Error);
  };
  signal.addEventListener('abort', onAbort, { once: true });
  // What comes too late has no reader.
  sent.then(
    ({ body }) => {
      if (signal.aborted) body.on('error', () => undefined).destroy();
    },
    () => undefined,
  );
  try {
    return await Promise.race([sent, aborted.promise]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

function joined(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value.join(', ') : value;
}
