/** Receives the head of a response; what comes after it waits for whoever takes the body. */
import { connectionBroken, type Receiver } from './connection.ts';
import { ResponseHeadReader, type ResponseHead } from './response-head.ts';

const HEAD_BYTES = 16 * 1024;

export interface HeadEvents {
  /** Called whenever anything comes. */
  readonly onBytes?: () => void;
  /** Called for each interim response (RFC 9110 section 15.2). */
  readonly onInterim?: () => void;
}

export class HeadReceiver implements Receiver {
  /** Rejects when the connection ends before the head does, and when what comes is not HTTP/1.1. */
  readonly head: Promise<ResponseHead>;
  /** Whether anything has come. */
  hasHeard = false;
  readonly #reader = new ResponseHeadReader();
  readonly #settle = Promise.withResolvers<ResponseHead>();
  readonly #buffer = Buffer.allocUnsafe(HEAD_BYTES);
  readonly #late: Buffer[] = [];
  readonly #events: HeadEvents;
  #isWhole = false;

  constructor(events: HeadEvents = {}) {
    this.#events = events;
    this.head = this.#settle.promise;
    this.head.catch(() => undefined);
  }

  space(): Uint8Array {
    return this.#buffer;
  }

  receive(chunk: Uint8Array): boolean {
    this.hasHeard = true;
    this.#events.onBytes?.();
    // Over TLS, records that have come already follow although no more are wanted.
    if (this.#isWhole) {
      this.#late.push(Buffer.from(chunk));
      return false;
    }
    try {
      const head = this.#reader.read(Buffer.from(chunk), () => this.#events.onInterim?.());
      if (head === undefined) return true;
      this.#isWhole = true;
      this.#settle.resolve(head);
    } catch (error) {
      this.#settle.reject(error);
    }
    return false;
  }

  /** What came after the head, until another receiver takes over. */
  rest(head: ResponseHead): Uint8Array {
    return Buffer.concat([head.rest, ...this.#late.splice(0)]);
  }

  closed(error: Error | undefined): void {
    this.#settle.reject(error ?? connectionBroken());
  }
}
