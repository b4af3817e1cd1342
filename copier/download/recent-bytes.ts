/** The last bytes of a file that grows, in memory: they are filled in place, and let go when the disk has them and nobody reads them. */
import { SLAB_BYTES, type Slabs } from './buffer-pool.ts';

/** So much of what came last stays while memory is not scarce. */
const RECENT_BYTES = 2 * 2 ** 20;
/** With less room left a new slab is begun, so that few reads of the network are short. */
const MIN_ROOM = 64 * 1024;

interface Piece {
  readonly offset: number;
  readonly slab: Buffer;
  filled: number;
  pins: number;
}

export class RecentBytes {
  readonly #slabs: Slabs;
  /** In order; some in between may be gone. */
  #pieces: Piece[] = [];
  #end = 0;

  constructor(slabs: Slabs) {
    this.#slabs = slabs;
  }

  /** Where the file ends. */
  get end(): number {
    return this.#end;
  }

  space(): Uint8Array {
    let last = this.#pieces.at(-1);
    if (last === undefined || SLAB_BYTES - last.filled < MIN_ROOM) {
      last = { offset: this.#end, slab: this.#slabs.take(), filled: 0, pins: 0 };
      this.#pieces.push(last);
    }
    return last.slab.subarray(last.filled);
  }

  /** So many bytes have come to where `space` said. */
  filled(bytes: number): void {
    const last = this.#pieces.at(-1);
    if (last === undefined || last.filled + bytes > SLAB_BYTES) throw new RangeError('bytes without space');
    last.filled += bytes;
    this.#end += bytes;
  }

  /** What is there of these bytes, from the first on, kept until it is unpinned; undefined when the first is not there. */
  pin(offset: number, until: number): { readonly bytes: Uint8Array; readonly unpin: () => void } | undefined {
    const piece = this.#pieces.find((each) => each.offset <= offset && offset < each.offset + each.filled);
    if (piece === undefined) return undefined;
    piece.pins += 1;
    return {
      bytes: piece.slab.subarray(offset - piece.offset, Math.min(piece.filled, until - piece.offset)),
      unpin: () => {
        piece.pins -= 1;
      },
    };
  }

  /** All bytes from there on, none of which may have been forgotten. */
  from(offset: number): Uint8Array[] {
    return this.#pieces
      .filter((piece) => piece.offset + piece.filled > offset)
      .map(({ offset: begin, slab, filled }) => slab.subarray(Math.max(0, offset - begin), filled));
  }

  /** Lets go of what the disk has, up to there, and nobody needs. */
  forget(onDisk: number): void {
    const until = Math.min(onDisk, this.#slabs.isScarce ? this.#end : this.#end - RECENT_BYTES);
    const last = this.#pieces.at(-1);
    this.#pieces = this.#pieces.filter((piece) => {
      const stays = piece === last || piece.pins > 0 || piece.offset + piece.filled > until;
      if (!stays) this.#slabs.giveBack(piece.slab);
      return stays;
    });
  }

  clear(): void {
    for (const { slab } of this.#pieces.splice(0)) this.#slabs.giveBack(slab);
  }
}
