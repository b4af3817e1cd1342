/**
 * One HTTP/1.1 exchange over a connection of our own: for responses that may be large, and for streamed
 * bodies.
 */
import { RegistryError } from '../../core/errors.ts';
import type { ConnectionPool } from './connection-pool.ts';
import type { Connection } from './connection.ts';
import { HeadReceiver } from './head-receiver.ts';
import { networkError } from './http-error.ts';
import type { Deadlines, HttpRequest, HttpResponse } from './messages.ts';
import { formatRequestHead } from './request-head.ts';
import { ResponseBody } from './response-body.ts';
import { framingOf, isPersistent, type ResponseHead } from './response-head.ts';
import { Watchdog } from './watchdog.ts';

/**
 * @param signal ends the exchange, the reading of the body included
 * @throws RegistryError with reason `Unreachable`, `TimedOut` or `Canceled`, and what a streamed body throws
 */
export async function bulkExchange(
  pool: ConnectionPool,
  request: HttpRequest,
  deadlines: Deadlines,
  signal: AbortSignal,
): Promise<HttpResponse> {
  const { url } = request;
  const { silenceMs } = deadlines;
  const watchdog = new Watchdog(url);
  const ends = AbortSignal.any([signal, watchdog.signal]);
  try {
    signal.throwIfAborted();
    const bounds = { watchdog, deadlines, signal: ends };
    const { connection, head, rest, isSpent } = await askTwice(pool, request, bounds);
    watchdog.clear();
    const keep = (): void => {
      pool.keep(url, connection);
    };
    const silent = (): Error =>
      new RegistryError(`${url.host} was silent for ${silenceMs} ms`, { reason: 'TimedOut' });
    const body = new ResponseBody({
      ...{ connection, rest, signal },
      framing: framingOf(head),
      silence: { ms: silenceMs, error: silent },
      ...(!isSpent && isPersistent(head) ? { onWhole: keep } : {}),
    });
    return { status: head.status, url, body, header: (name) => head.headers[name] };
  } catch (error) {
    watchdog.clear();
    throw networkError(ends.aborted ? ends.reason : error, url);
  }
}

interface Asked {
  readonly connection: Connection;
  readonly head: ResponseHead;
  /** What came after the head, until the connection is handed to the body. */
  readonly rest: () => Uint8Array;
  /** The connection can serve nothing else: it has not taken the whole request. */
  readonly isSpent: boolean;
}

interface Bounds {
  readonly watchdog: Watchdog;
  readonly deadlines: Deadlines;
  readonly signal: AbortSignal;
}

/**
 * The server may close an idle connection just when it is used again. Then nothing was answered, and asking
 * anew is safe.
 */
async function askTwice(pool: ConnectionPool, request: HttpRequest, bounds: Bounds): Promise<Asked> {
  if (request.body === undefined) {
    const receiver = new HeadReceiver();
    const kept = pool.reuse(request.url, receiver);
    try {
      if (kept !== undefined) return await ask(kept, receiver, request, bounds);
    } catch (error) {
      if (receiver.hasHeard || bounds.signal.aborted) throw error;
    }
  }
  const receiver = new HeadReceiver();
  return ask(pool.open(request.url, receiver), receiver, request, bounds);
}

async function ask(
  connection: Connection,
  receiver: HeadReceiver,
  request: HttpRequest,
  bounds: Bounds,
): Promise<Asked> {
  const { watchdog, deadlines, signal } = bounds;
  const onAbort = (): void => {
    connection.destroy(signal.reason as Error);
  };
  signal.addEventListener('abort', onAbort, { once: true });
  let isAnswered = false;
  let isSent = false;
  watchdog.expect('head', deadlines.headMs);
  connection.resume();
  send(connection, request, bounds, () => isAnswered).then(
    () => {
      isSent = true;
    },
    (error: unknown) => {
      connection.destroy(error as Error);
    },
  );
  try {
    const head = await receiver.head;
    return { connection, head, rest: () => receiver.rest(head), isSpent: !isSent };
  } catch (error) {
    connection.destroy();
    throw error;
  } finally {
    isAnswered = true;
    signal.removeEventListener('abort', onAbort);
  }
}

/** Sends the request. Stops early when the response has come already. */
async function send(
  connection: Connection,
  request: HttpRequest,
  { watchdog, deadlines }: Bounds,
  isAnswered: () => boolean,
): Promise<void> {
  const { body } = request;
  const isChunked = body !== undefined && request.headers['content-length'] === undefined;
  const headers = {
    ...request.headers,
    ...(isChunked ? { 'transfer-encoding': 'chunked' } : {}),
    // A stream cannot be sent again, so it neither gets a kept connection nor leaves one.
    ...(body === undefined ? {} : { connection: 'close' }),
  };
  await connection.write(formatRequestHead({ ...request, headers }));
  if (body === undefined || isAnswered()) return;
  for await (const chunk of body instanceof Uint8Array ? [body] : body) {
    if (isAnswered()) return;
    // Only the server's slowness counts here; the source of the body has deadlines of its own.
    watchdog.expect('bytes', deadlines.silenceMs);
    if (isChunked) await connection.write(`${chunk.byteLength.toString(16)}\r\n`);
    await connection.write(chunk);
    if (isChunked) await connection.write('\r\n');
    watchdog.clear();
  }
  if (isChunked) await connection.write('0\r\n\r\n');
  if (!isAnswered()) watchdog.expect('head', deadlines.headMs);
}
