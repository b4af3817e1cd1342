/** One HTTP/1.1 exchange by wire: for answers that may be large, and for bodies that are streamed. */
import { RegistryError } from '../../core/errors.ts';
import type { Deadlines, HttpRequest, HttpResponse } from './exchange.ts';
import { networkError } from './http-error.ts';
import { HeadReader, type ResponseHead } from './response-head.ts';
import { Watchdog } from './watchdog.ts';
import { brokenOff, type Taker, type Wire } from './wire.ts';
import { WireBody, type Framing } from './wire-body.ts';
import type { Wires } from './wires.ts';

/**
 * @param signal ends the exchange, the reading of the body included
 * @throws RegistryError with reason `Unreachable`, `TimedOut` or `Canceled`, and what a streamed body throws
 */
export async function wireExchange(
  wires: Wires,
  request: HttpRequest,
  deadlines: Deadlines,
  signal: AbortSignal,
): Promise<HttpResponse> {
  const watchdog = new Watchdog(request.url);
  const ends = AbortSignal.any([signal, watchdog.signal]);
  try {
    signal.throwIfAborted();
    const bounds = { watchdog, deadlines, signal: ends };
    const { wire, head, rest, isSpent } = await askTwice(wires, request, bounds);
    watchdog.clear();
    const isReusable = !isSpent && isPersistent(head);
    const { url } = request;
    const keep = (): void => {
      wires.keep(url, wire);
    };
    const body = new WireBody({
      ...{ wire, signal, rest, host: url.host, silenceMs: deadlines.silenceMs },
      framing: framingOf(head),
      onWhole: isReusable ? keep : undefined,
    });
    return { status: head.status, url, body, header: (name) => head.headers[name] };
  } catch (error) {
    watchdog.clear();
    throw networkError(ends.aborted ? ends.reason : error, request.url);
  }
}

interface Asked {
  readonly wire: Wire;
  readonly head: ResponseHead;
  /** What came after the head and was taken by nobody else, until the wire is handed on. */
  readonly rest: () => Uint8Array;
  /** It can serve nothing else: it has not taken the whole request. */
  readonly isSpent: boolean;
}

interface Bounds {
  readonly watchdog: Watchdog;
  readonly deadlines: Deadlines;
  readonly signal: AbortSignal;
}

/** The server may have closed a connection that was kept just when it is used again; then nothing has been answered. */
async function askTwice(wires: Wires, request: HttpRequest, bounds: Bounds): Promise<Asked> {
  if (request.body === undefined) {
    const taker = new HeadTaker();
    const kept = wires.reuse(request.url, taker);
    try {
      if (kept !== undefined) return await ask(kept, taker, request, bounds);
    } catch (error) {
      if (taker.hasHeard || bounds.signal.aborted) throw error;
    }
  }
  const taker = new HeadTaker();
  return ask(wires.open(request.url, taker), taker, request, bounds);
}

async function ask(wire: Wire, taker: HeadTaker, request: HttpRequest, bounds: Bounds): Promise<Asked> {
  const { watchdog, deadlines, signal } = bounds;
  const onAbort = (): void => {
    wire.destroy(signal.reason as Error);
  };
  signal.addEventListener('abort', onAbort, { once: true });
  let isAnswered = false;
  let isSent = false;
  watchdog.expect('head', deadlines.headMs);
  wire.resume();
  send(wire, request, bounds, () => isAnswered).then(
    () => {
      isSent = true;
    },
    (error: unknown) => {
      wire.destroy(error as Error);
    },
  );
  try {
    const head = await taker.head;
    return { wire, head, rest: () => taker.rest(head), isSpent: !isSent };
  } catch (error) {
    wire.destroy();
    throw error;
  } finally {
    isAnswered = true;
    signal.removeEventListener('abort', onAbort);
  }
}

/** Stops when there is an answer already. */
async function send(
  wire: Wire,
  request: HttpRequest,
  { watchdog, deadlines }: Bounds,
  isAnswered: () => boolean,
): Promise<void> {
  const { body } = request;
  const isChunked = body !== undefined && request.headers['content-length'] === undefined;
  await wire.write(formatHead(request, isChunked));
  if (body === undefined || isAnswered()) return;
  for await (const chunk of body instanceof Uint8Array ? [body] : body) {
    if (isAnswered()) return;
    // Only the receiver's slowness counts: while we wait for the source, its own deadlines hold.
    watchdog.expect('bytes', deadlines.silenceMs);
    if (isChunked) await wire.write(`${chunk.byteLength.toString(16)}\r\n`);
    await wire.write(chunk);
    if (isChunked) await wire.write('\r\n');
    watchdog.clear();
  }
  if (isChunked) await wire.write('0\r\n\r\n');
  if (!isAnswered()) watchdog.expect('head', deadlines.headMs);
}

/** Tokens come from token servers: what is no header value must not become a request of its own. */
const FIELD = /^[\t\x20-\x7e\x80-\xff]*$/;

function formatHead({ method, url, headers, body }: HttpRequest, isChunked: boolean): string {
  const fields = Object.entries({
    host: url.host,
    ...headers,
    ...(isChunked ? { 'transfer-encoding': 'chunked' } : {}),
    // A stream cannot be sent again, so its connection is never one that was kept; nor is it kept.
    ...(body === undefined ? {} : { connection: 'close' }),
  });
  if (fields.some(([, value]) => !FIELD.test(value)))
    throw new RegistryError('a header cannot be sent', { reason: 'Invalid' });
  const lines = fields.map(([name, value]) => `${name}: ${value}\r\n`).join('');
  return `${method} ${url.pathname}${url.search} HTTP/1.1\r\n${lines}\r\n`;
}

function isPersistent({ headers }: ResponseHead): boolean {
  return !/\bclose\b/i.test(headers['connection'] ?? '');
}

/** RFC 9112 section 6.3. @throws Error when nobody can tell where the body ends */
function framingOf({ status, headers }: ResponseHead): Framing {
  const coding = headers['transfer-encoding'];
  if (status === 204 || status === 304) return { kind: 'length', bytes: 0 };
  if (coding !== undefined) {
    if (coding.toLowerCase() !== 'chunked') throw new Error('the answer has an unknown transfer coding');
    return { kind: 'chunked' };
  }
  const length = headers['content-length'];
  if (length === undefined) return { kind: 'until-close' };
  if (!/^[0-9]{1,15}$/.test(length)) throw new Error('the answer has no proper length');
  return { kind: 'length', bytes: Number(length) };
}

const HEAD_BYTES = 16 * 1024;

/** Takes the head of an answer; what comes after it waits for whoever takes the body. */
class HeadTaker implements Taker {
  readonly head: Promise<ResponseHead>;
  /** Whether the peer has answered anything. */
  hasHeard = false;
  readonly #reader = new HeadReader();
  readonly #settle = Promise.withResolvers<ResponseHead>();
  readonly #buffer = Buffer.allocUnsafe(HEAD_BYTES);
  readonly #late: Buffer[] = [];
  #isWhole = false;

  constructor() {
    this.head = this.#settle.promise;
    this.head.catch(() => undefined);
  }

  space(): Uint8Array {
    return this.#buffer;
  }

  take(chunk: Uint8Array): boolean {
    this.hasHeard = true;
    // By TLS the records that are there already come although no more are wanted.
    if (this.#isWhole) {
      this.#late.push(Buffer.from(chunk));
      return false;
    }
    try {
      const head = this.#reader.read(Buffer.from(chunk), () => undefined);
      if (head === undefined) return true;
      this.#isWhole = true;
      this.#settle.resolve(head);
    } catch (error) {
      this.#settle.reject(error);
    }
    return false;
  }

  rest(head: ResponseHead): Uint8Array {
    return Buffer.concat([head.rest, ...this.#late.splice(0)]);
  }

  closed(error: Error | undefined): void {
    this.#settle.reject(error ?? brokenOff());
  }
}
