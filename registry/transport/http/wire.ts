/**
 * One HTTP/1.1 connection whose bytes land where their taker wants them, so that nothing is allocated per chunk: at gigabytes that
 * is most of what moving them costs, in time and in memory.
 */
import type { OnReadOpts, Socket } from 'node:net';
import { written } from './written.ts';

/** Takes what a connection brings. */
export interface Taker {
  /** Where the next bytes go: room for one at least. */
  space(): Uint8Array;
  /**
   * Bytes have come, in what `space` gave, or in what it gave to the taker before.
   * @returns false for no more until `resume`
   */
  take(chunk: Uint8Array): boolean;
  /** Nothing comes any more. Without an error the peer has ended it in good order. */
  closed(error: Error | undefined): void;
}

export class Wire {
  readonly #socket: Socket;
  #taker: Taker;
  #error: Error | undefined;

  /** @param open opens the connection with these options for what it brings */
  constructor(open: (onread: OnReadOpts) => Socket, taker: Taker) {
    this.#taker = taker;
    this.#socket = open({
      buffer: () => this.#taker.space(),
      callback: (size, buffer) => this.#taker.take(buffer.subarray(0, size)),
    });
    this.#socket.on('error', (error) => {
      this.#error = error;
    });
    this.#socket.once('close', () => {
      this.#taker.closed(this.#error);
    });
  }

  get isOpen(): boolean {
    return !this.#socket.destroyed && this.#socket.readyState !== 'writeOnly';
  }

  /** What comes from now on is another's. */
  handTo(taker: Taker): void {
    this.#taker = taker;
  }

  resume(): void {
    this.#socket.resume();
  }

  /** Resolves once the bytes have left us, so that their memory can be used again. */
  write(bytes: Uint8Array | string): Promise<void> {
    return written(this.#socket, bytes, (error) => this.#error ?? error ?? brokenOff());
  }

  /** @param error what its taker is told */
  destroy(error?: Error): void {
    this.#socket.destroy(error);
  }

  /** Lets an idle connection not keep the process alive, or one in use again. */
  idle(isIdle: boolean): void {
    if (isIdle) this.#socket.unref();
    else this.#socket.ref();
  }
}

/** What was expected did not come to its end. */
export function brokenOff(): Error {
  return Object.assign(new Error('the connection was closed before the end'), { code: 'ECONNRESET' });
}
