/** A request to a registry and its response, whichever HTTP client carries them. */
import type { Readable } from 'node:stream';

export interface Deadlines {
  /** From sending the request (with a body: its last byte) to the head of the response. Milliseconds. */
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
   * Bytes can be sent again, after a challenge for example; a stream cannot. The memory of a stream's chunk
   * must not change before the next chunk is asked for.
   */
  readonly body?: Uint8Array | AsyncIterable<Uint8Array>;
  /** The response may be large, so it matters how its bytes are moved. */
  readonly bulk?: boolean;
}

/** A request that can be sent again. */
export type RepeatableRequest = HttpRequest & { readonly body?: Uint8Array };

/** A stream is gone once it was sent. */
export function isRepeatable(request: HttpRequest): request is RepeatableRequest {
  return request.body === undefined || request.body instanceof Uint8Array;
}

export interface HttpResponse {
  readonly status: number;
  /** @param name in lower case; the values of a repeated header are joined by commas */
  header(name: string): string | undefined;
  /** Where the response came from, after redirects. It may hold a signature, so keep it out of logs. */
  readonly url: URL;
  /** Has to be read to its end or destroyed. Its errors are the network's own: see `networkError`. */
  readonly body: Readable;
}
