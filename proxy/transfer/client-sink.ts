/** Puts a peer's bytes into a fixed buffer, and writes that buffer to the client's socket. */
import type { Socket } from 'node:net';
import type { ByteSink } from '../../registry/transport/http/byte-sink.ts';
import type { LastSign } from './head-deadline.ts';

/** About what the kernel reads or writes at once; a larger buffer does not fit the processor's cache. */
const BUFFER_BYTES = 256 * 1024;
/** Over TLS, a read brings one record (RFC 8446 section 5.1). */
const RECORD_BYTES = 16 * 1024;

export interface ClientSinkOptions {
  /** Bytes go past the response object: going through it takes twice as long. */
  readonly client: Socket;
  readonly lastSign: LastSign;
  /** Whether the peer uses TLS: then some more records come after we have asked for a pause. */
  readonly isTls: boolean;
}

export class ClientSink implements ByteSink {
  readonly #options: ClientSinkOptions;
  #buffer: Uint8Array;
  /** Set while bytes of the buffer wait for the client. */
  #blocked: PromiseWithResolvers<undefined> | undefined;
  readonly #onWritten = (): void => {
    if (this.#options.client.writableLength > 0) return;
    this.#blocked?.resolve(undefined);
    this.#blocked = undefined;
  };

  constructor(options: ClientSinkOptions) {
    this.#options = options;
    this.#buffer = Buffer.allocUnsafeSlow(options.isTls ? RECORD_BYTES : BUFFER_BYTES);
  }

  space(): Uint8Array {
    if (this.#options.isTls && this.#blocked !== undefined)
      this.#buffer = Buffer.allocUnsafeSlow(RECORD_BYTES);
    return this.#buffer;
  }

  filled(bytes: number): boolean {
    const { client, lastSign } = this.#options;
    lastSign.heard();
    client.write(this.#buffer.subarray(0, bytes), this.#onWritten);
    // Usually the kernel has taken everything at once, and the buffer is free again.
    if (client.writableLength === 0) return true;
    this.#blocked ??= Promise.withResolvers<undefined>();
    return false;
  }

  async ready(): Promise<void> {
    await this.#blocked?.promise;
  }
}
