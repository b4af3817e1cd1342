/**
 * One HTTP/1.1 connection whose bytes land in memory that their receiver chooses, so that nothing is
 * allocated per chunk. At gigabytes, those allocations are most of what moving bytes costs, in time and in
 * memory.
 */
import type { OnReadOpts, Socket } from 'node:net';
import { written } from './written.ts';

/** Receives what a connection brings. */
export interface Receiver {
  /** Where to put the next bytes: room for at least one. */
  space(): Uint8Array;
  /**
   * Bytes have come, into what `space` returned here, or to the receiver before this one.
   * @returns false to receive no more until `resume`; over TLS, records that have come already follow all the
   * same
   */
  receive(chunk: Uint8Array): boolean;
  /** Nothing more will come. Without an error, the peer has ended the connection in good order. */
  closed(error: Error | undefined): void;
}

export class Connection {
  readonly #socket: Socket;
  #receiver: Receiver;
  #error: Error | undefined;

  /** @param open opens the socket with these options */
  constructor(open: (onread: OnReadOpts) => Socket, receiver: Receiver) {
    this.#receiver = receiver;
    this.#socket = open({
      buffer: () => this.#receiver.space(),
      callback: (size, buffer) => this.#receiver.receive(buffer.subarray(0, size)),
    });
    this.#socket.on('error', (error) => {
      this.#error = error;
    });
    this.#socket.once('close', () => {
      this.#receiver.closed(this.#error);
    });
  }

  get isOpen(): boolean {
    return !this.#socket.destroyed && this.#socket.readyState !== 'writeOnly';
  }

  /** From now on, `receiver` gets what comes. */
  handTo(receiver: Receiver): void {
    this.#receiver = receiver;
  }

  resume(): void {
    this.#socket.resume();
  }

  /** Resolves once the kernel has taken the bytes, so that their memory can be used again. */
  write(bytes: Uint8Array | string): Promise<void> {
    return written(this.#socket, bytes, (error) => this.#error ?? error ?? connectionBroken());
  }

  /** @param error passed on to the receiver */
  destroy(error?: Error): void {
    this.#socket.destroy(error);
  }

  /** An idle connection does not keep the process alive. */
  setIdle(isIdle: boolean): void {
    if (isIdle) this.#socket.unref();
    else this.#socket.ref();
  }
}

/** The connection was closed before everything that was expected had come. */
export function connectionBroken(): Error {
  return Object.assign(new Error('the connection was closed before the end'), { code: 'ECONNRESET' });
}
