/** The last bytes of a growing file, in memory until the disk has them and nobody reads them. */
import { BUFFER_BYTES, type BufferPool } from './buffer-pool.ts';

/** This much of what came last is kept while memory is not scarce. */
const RECENT_BYTES = 2 * 2 ** 20;
/** A buffer with less room than this is not filled further, so that few reads from the network are short. */
const MIN_ROOM = 64 * 1024;

interface Piece {
  /** Of its first byte in the file. */
  readonly offset: number;
  readonly buffer: Buffer;
  filled: number;
  pins: number;
}

export class RecentBytes {
  readonly #pool: BufferPool;
  /** In order; some in between may be gone. */
  #pieces: Piece[] = [];
  #end = 0;

  constructor(pool: BufferPool) {
    this.#pool = pool;
  }

  /** Where the file ends. */
  get end(): number {
    return this.#end;
  }

  space(): Uint8Array {
    let last = this.#pieces.at(-1);
    if (last === undefined || BUFFER_BYTES - last.filled < MIN_ROOM) {
      last = { offset: this.#end, buffer: this.#pool.take(), filled: 0, pins: 0 };
      this.#pieces.push(last);
    }
    return last.buffer.subarray(last.filled);
  }

  /** This many bytes were put into `space`. */
  filled(bytes: number): void {
    const last = this.#pieces.at(-1);
    if (last === undefined || last.filled + bytes > BUFFER_BYTES) throw new RangeError('bytes without space');
    last.filled += bytes;
    this.#end += bytes;
  }

  /** Bytes from `offset` on, kept until `unpin`; undefined when the first is not in memory any more. */
  pin(offset: number, until: number): { readonly bytes: Uint8Array; readonly unpin: () => void } | undefined {
    const piece = this.#pieces.find((each) => each.offset <= offset && offset < each.offset + each.filled);
    if (piece === undefined) return undefined;
    piece.pins += 1;
    return {
      bytes: piece.buffer.subarray(offset - piece.offset, Math.min(piece.filled, until - piece.offset)),
      unpin: () => {
        piece.pins -= 1;
      },
    };
  }

  /** All bytes from `offset` to the end, none of which may have been dropped. */
  from(offset: number): Uint8Array[] {
    return this.#pieces
      .filter((piece) => piece.offset + piece.filled > offset)
      .map(({ offset: begin, buffer, filled }) => buffer.subarray(Math.max(0, offset - begin), filled));
  }

  /** Drops what nobody has pinned and the disk has, which is everything before `onDisk`. */
  drop(onDisk: number): void {
    const until = Math.min(onDisk, this.#pool.isScarce ? this.#end : this.#end - RECENT_BYTES);
    const last = this.#pieces.at(-1);
    this.#pieces = this.#pieces.filter((piece) => {
      const stays = piece === last || piece.pins > 0 || piece.offset + piece.filled > until;
      if (!stays) this.#pool.giveBack(piece.buffer);
      return stays;
    });
  }

  clear(): void {
    for (const { buffer } of this.#pieces.splice(0)) this.#pool.giveBack(buffer);
  }
}
