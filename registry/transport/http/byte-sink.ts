/** Moving bytes into memory that their taker chooses. */
import type { Readable } from 'node:stream';

export interface ByteSink {
  /** Where the next bytes go: room for one at least. */
  space(): Uint8Array;
  /**
   * So many have come there.
   * @returns false when no more are wanted until `ready`
   * @throws to end the transfer
   */
  filled(bytes: number): boolean;
  /** Resolves when more are wanted. @throws to end the transfer */
  ready(): Promise<void>;
}

/** A body that can put its bytes there by itself. */
interface Pourable {
  pour(sink: ByteSink): Promise<void>;
}

/** Takes a whole body. @throws what the body or the sink throws; the body is destroyed then */
export async function pour(body: Readable, sink: ByteSink): Promise<void> {
  if (isPourable(body)) {
    await body.pour(sink);
    return;
  }
  for await (const chunk of body as AsyncIterable<Uint8Array>) {
    if (!copyInto(sink, chunk)) await sink.ready();
  }
}

/** @returns whether more are wanted */
export function copyInto(sink: ByteSink, chunk: Uint8Array): boolean {
  let goesOn = true;
  for (let copied = 0; copied < chunk.byteLength;) {
    const space = sink.space();
    const piece = chunk.subarray(copied, copied + space.byteLength);
    space.set(piece);
    copied += piece.byteLength;
    goesOn = sink.filled(piece.byteLength);
  }
  return goesOn;
}

function isPourable(body: object): body is Pourable {
  return 'pour' in body;
}
