/** The body of an answer that came by wire: poured into memory of the reader's choice, or read as any stream. */
import { Readable } from 'node:stream';
import { RegistryError } from '../../core/errors.ts';
import { copyInto, type ByteSink } from './byte-sink.ts';
import { ChunkedDecoder } from './chunked.ts';
import { brokenOff, type Taker, type Wire } from './wire.ts';

/** How a body tells its end (RFC 9112 section 6.3). */
export type Framing =
  | { readonly kind: 'length'; readonly bytes: number }
  | { readonly kind: 'chunked' }
  | { readonly kind: 'until-close' };

export interface WireBodyOptions {
  readonly wire: Wire;
  readonly framing: Framing;
  /** What has come before anybody took it. */
  readonly rest: () => Uint8Array;
  /** How long nothing may come while somebody waits for it, in milliseconds. */
  readonly silenceMs: number;
  /** The peer's name, for errors. */
  readonly host: string;
  /** Called when all has come and nothing else has, so that the wire can serve another exchange. It is destroyed otherwise. */
  readonly onWhole: (() => void) | undefined;
  /** Ends the reading. */
  readonly signal: AbortSignal;
}

const READ_BYTES = 64 * 1024;

export class WireBody extends Readable {
  readonly #options: WireBodyOptions;
  #left: number;
  readonly #decoder: ChunkedDecoder | undefined;
  #begun = false;
  #released = false;
  #waiting = false;
  #watch: NodeJS.Timeout | undefined;
  readonly #onAbort = (): void => {
    this.destroy(this.#options.signal.reason as Error);
  };

  constructor(options: WireBodyOptions) {
    super();
    this.#options = options;
    const { framing, signal } = options;
    this.#left = framing.kind === 'length' ? framing.bytes : Infinity;
    this.#decoder = framing.kind === 'chunked' ? new ChunkedDecoder() : undefined;
    signal.addEventListener('abort', this.#onAbort, { once: true });
    // What ends it before anybody reads is told to whoever does.
    this.on('error', () => undefined);
  }

  /** Puts all bytes into the sink. Instead of reading. @throws what breaks the transfer, or what the sink throws */
  async pour(sink: ByteSink): Promise<void> {
    if (this.#options.framing.kind !== 'length') {
      for await (const chunk of this as AsyncIterable<Uint8Array>)
        if (!copyInto(sink, chunk)) await sink.ready();
      return;
    }
    if (this.destroyed) throw this.errored ?? brokenOff();
    const { promise, resolve, reject } = Promise.withResolvers<undefined>();
    this.once('error', reject);
    this.once('close', () => {
      if (this.#left === 0) resolve(undefined);
      else reject(brokenOff());
    });
    let given: Uint8Array | undefined;
    this.#begin({
      space: () => (given = sink.space()),
      // What was on its way into another's memory before has to be copied.
      take: (chunk) =>
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
    const { signal, wire } = this.#options;
    signal.removeEventListener('abort', this.#onAbort);
    clearTimeout(this.#watch);
    if (!this.#released) {
      this.#released = true;
      wire.handTo(NOBODY);
      wire.destroy();
    }
    callback(error);
  }

  #reading(): Taker {
    const buffer = Buffer.allocUnsafeSlow(READ_BYTES);
    return {
      space: () => buffer,
      take: (chunk) => this.#queue(chunk),
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
    else this.destroy(error ?? brokenOff());
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

  #begin(taker: Taker): void {
    this.#begun = true;
    const { wire, rest, silenceMs, host } = this.#options;
    wire.handTo(taker);
    this.#watch = setTimeout(() => {
      if (this.#waiting)
        this.destroy(new RegistryError(`${host} was silent for ${silenceMs} ms`, { reason: 'TimedOut' }));
      else this.#watch?.refresh();
    }, silenceMs);
    if (!taker.take(rest())) return;
    if (wire.isOpen) this.#goOn();
    else taker.closed(undefined);
  }

  #goOn(): void {
    if (this.#released) return;
    this.#heard(true);
    this.#options.wire.resume();
  }

  /** Bytes have come. @param goesOn whether more are waited for */
  #heard(goesOn: boolean): boolean {
    this.#waiting = goesOn;
    this.#watch?.refresh();
    return goesOn;
  }

  /** @param isExact nothing has come but the body */
  #release(isExact: boolean): void {
    const { wire, onWhole } = this.#options;
    this.#released = true;
    clearTimeout(this.#watch);
    if (isExact && onWhole !== undefined) {
      onWhole();
      return;
    }
    wire.handTo(NOBODY);
    wire.destroy();
  }
}

const SCRAP = new Uint8Array(64);
const NOBODY: Taker = { space: () => SCRAP, take: () => false, closed: () => undefined };
