/** One HTTP exchange through undici: for small responses, whose body undici reads as well as we would. */
import type { Dispatcher } from 'undici';
import { abandon } from './body.ts';
import { networkError } from './http-error.ts';
import type { Deadlines, HttpResponse, RepeatableRequest } from './messages.ts';
import { Watchdog } from './watchdog.ts';

/**
 * @param signal ends the exchange, the reading of the body included
 * @throws RegistryError with reason `Unreachable`, `TimedOut` or `Canceled`
 */
export async function exchange(
  dispatcher: Dispatcher,
  { method, url, headers, body }: RepeatableRequest,
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
      // undici does not count the time in which the reader pauses.
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

/**
 * undici heeds the signal only once it is connected, and a host that drops packets holds it for as long as
 * connecting may take. (Not platform's `unlessAborted`: the registry folders know nothing of ours, and a late
 * response must be given up here.)
 */
async function untilAborted(
  sent: Promise<Dispatcher.ResponseData>,
  signal: AbortSignal,
): Promise<Dispatcher.ResponseData> {
  const aborted = Promise.withResolvers<never>();
  const onAbort = (): void => {
    aborted.reject(signal.reason as Error);
  };
  signal.addEventListener('abort', onAbort, { once: true });
  sent.then(
    (response) => {
      if (signal.aborted) abandon(response);
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
