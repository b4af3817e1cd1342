/**
 * The body of a response, from its connection: poured into memory of the reader's choice, or read as any
 * stream.
 */
import { Readable } from 'node:stream';
import { copyInto, type ByteSink } from './byte-sink.ts';
import { ChunkedDecoder } from './chunked.ts';
import { connectionBroken, type Connection, type Receiver } from './connection.ts';
import type { Framing } from './response-head.ts';

export interface ResponseBodyOptions {
  readonly connection: Connection;
  readonly framing: Framing;
  /** What came before anybody took the body. */
  readonly rest: () => Uint8Array;
  /** How long nothing may come while the reader waits. */
  readonly silence: { readonly ms: number; readonly error: () => Error };
  /**
   * Called when the whole body has come and nothing after it, so that the connection can serve another
   * exchange. In every other case the connection is destroyed.
   */
  readonly onWhole?: () => void;
  /** Ends the reading. */
  readonly signal: AbortSignal;
}

const READ_BYTES = 64 * 1024;

export class ResponseBody extends Readable {
  readonly #options: ResponseBodyOptions;
  #left: number;
  readonly #decoder: ChunkedDecoder | undefined;
  #begun = false;
  #released = false;
  #waiting = false;
  #watch: NodeJS.Timeout | undefined;
  #lastLook: NodeJS.Immediate | undefined;
  readonly #onAbort = (): void => {
    this.destroy(this.#options.signal.reason as Error);
  };

  constructor(options: ResponseBodyOptions) {
    super();
    this.#options = options;
    const { framing, signal } = options;
    this.#left = framing.kind === 'length' ? framing.bytes : Infinity;
    this.#decoder = framing.kind === 'chunked' ? new ChunkedDecoder() : undefined;
    signal.addEventListener('abort', this.#onAbort, { once: true });
    // An error that comes before anybody reads is thrown to whoever reads later.
    this.on('error', () => undefined);
  }

  /**
   * Puts all bytes into the sink, instead of being read.
   * @throws what breaks the transfer, or what the sink throws
   */
  async pour(sink: ByteSink): Promise<void> {
    if (this.#options.framing.kind !== 'length') {
      for await (const chunk of this as AsyncIterable<Uint8Array>)
        if (!copyInto(sink, chunk)) await sink.ready();
      return;
    }
    if (this.destroyed) throw this.errored ?? connectionBroken();
    const { promise, resolve, reject } = Promise.withResolvers<undefined>();
    this.once('error', reject);
    this.once('close', () => {
      if (this.#left === 0) resolve(undefined);
      else reject(connectionBroken());
    });
    let given: Uint8Array | undefined;
    this.#begin({
      space: () => (given = sink.space()),
      // What was on its way into the memory of the receiver before has to be copied.
      receive: (chunk) =>
        this.#fill(sink, chunk, chunk.buffer === given?.buffer && chunk.byteOffset === given.byteOffset),
      closed: (error) => {
        this.#end(error);
      },
    });
    await promise;
  }

  override _read(): void {
    if (this.#begun) this.#goOn();
    else this.#begin(this.#reading());
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.#options.signal.removeEventListener('abort', this.#onAbort);
    this.#stopWatch();
    if (!this.#released) {
      this.#released = true;
      this.#destroyConnection();
    }
    callback(error);
  }

  #reading(): Receiver {
    const buffer = Buffer.allocUnsafeSlow(READ_BYTES);
    return {
      space: () => buffer,
      receive: (chunk) => this.#queue(chunk),
      closed: (error) => {
        this.#end(error);
      },
    };
  }

  #queue(chunk: Uint8Array): boolean {
    try {
      const wanted = chunk.subarray(0, this.#left);
      this.#left -= wanted.byteLength;
      let goesOn = true;
      for (const content of this.#decoder?.decode(wanted) ?? [wanted])
        if (content.byteLength > 0) goesOn = this.push(Buffer.from(content));
      if (this.#left > 0 && this.#decoder?.done !== true) return this.#heard(goesOn);
      this.push(null);
      this.#release(wanted.byteLength === chunk.byteLength);
      return true;
    } catch (error) {
      this.destroy(error as Error);
      return false;
    }
  }

  #end(error: Error | undefined): void {
    if (this.#released) return;
    this.#released = true;
    if (error === undefined && this.#options.framing.kind === 'until-close') this.push(null);
    else this.destroy(error ?? connectionBroken());
  }

  #fill(sink: ByteSink, chunk: Uint8Array, isInPlace: boolean): boolean {
    const wanted = chunk.subarray(0, this.#left);
    try {
      const goesOn = isInPlace ? sink.filled(wanted.byteLength) : copyInto(sink, wanted);
      this.#left -= wanted.byteLength;
      if (this.#left > 0) return this.#heard(goesOn || this.#waitFor(sink));
      this.#release(wanted.byteLength === chunk.byteLength);
      this.destroy();
      return true;
    } catch (error) {
      this.destroy(error as Error);
      return false;
    }
  }

  #waitFor(sink: ByteSink): false {
    sink.ready().then(
      () => {
        this.#goOn();
      },
      (error: unknown) => this.destroy(error as Error),
    );
    return false;
  }

  #begin(receiver: Receiver): void {
    this.#begun = true;
    const { connection, rest, silence } = this.#options;
    connection.handTo(receiver);
    this.#watch = setTimeout(() => {
      // On a busy machine it may be us who were late: look once more at what has come before giving the peer
      // up.
      this.#lastLook = setImmediate(() => {
        if (this.#waiting) this.destroy(silence.error());
        else this.#watch?.refresh();
      });
    }, silence.ms);
    if (!receiver.receive(rest())) return;
    if (connection.isOpen) this.#goOn();
    else receiver.closed(undefined);
  }

  #goOn(): void {
    if (this.#released) return;
    this.#heard(true);
    this.#options.connection.resume();
  }

  /** The peer was heard of. @param goesOn whether the reader waits for more */
  #heard(goesOn: boolean): boolean {
    this.#waiting = goesOn;
    clearImmediate(this.#lastLook);
    this.#watch?.refresh();
    return goesOn;
  }

  /** The whole body has come. @param isExact nothing has come after it */
  #release(isExact: boolean): void {
    this.#released = true;
    this.#stopWatch();
    if (isExact && this.#options.onWhole !== undefined) this.#options.onWhole();
    else this.#destroyConnection();
  }

  #stopWatch(): void {
    clearTimeout(this.#watch);
    clearImmediate(this.#lastLook);
  }

  #destroyConnection(): void {
    const { connection } = this.#options;
    connection.handTo(NOBODY);
    connection.destroy();
  }
}

const SCRAP = new Uint8Array(64);
const NOBODY: Receiver = { space: () => SCRAP, receive: () => false, closed: () => undefined };
