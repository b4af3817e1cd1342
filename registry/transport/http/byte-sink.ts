/** Moves bytes into memory that their receiver chooses. */
import type { Readable } from 'node:stream';

export interface ByteSink {
  /** Where to put the next bytes: room for at least one. */
  space(): Uint8Array;
  /**
   * So many bytes have been put there.
   * @returns false when no more are wanted until `ready` resolves
   * @throws to end the transfer
   */
  filled(bytes: number): boolean;
  /** Resolves when more are wanted. @throws to end the transfer */
  ready(): Promise<void>;
}

/** A body that puts its bytes into a sink by itself. */
interface Pourable {
  pour(sink: ByteSink): Promise<void>;
}

/** Moves a whole body into a sink. @throws what the body or the sink throws; the body is then destroyed */
export async function pour(body: Readable, sink: ByteSink): Promise<void> {
  if (isPourable(body)) {
    await body.pour(sink);
    return;
  }
  for await (const chunk of body as AsyncIterable<Uint8Array>) {
    if (!copyInto(sink, chunk)) await sink.ready();
  }
}

/** @returns whether the sink wants more */
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
