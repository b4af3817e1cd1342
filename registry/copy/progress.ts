/** Counts the bytes of a copy. A blob whose transfer starts over is counted from zero again. */
import type { Digest } from '../core/digest.ts';
import type { Descriptor } from '../core/manifest.ts';

export interface CopyProgress {
  readonly completedBytes: number;
  readonly totalBytes: number;
}

export class ProgressMeter {
  readonly #done = new Map<Digest, number>();
  readonly #totalBytes: number;
  readonly #notify: (progress: CopyProgress) => void;
  #completed = 0;

  constructor(blobs: readonly Descriptor[], notify: (progress: CopyProgress) => void) {
    this.#totalBytes = blobs.reduce((sum, blob) => sum + blob.size, 0);
    this.#notify = notify;
  }

  /**
   * Starts to count this blob, from zero.
   * @returns a function to call with the bytes that have come since the last call
   */
  begin(blob: Descriptor): (bytes: number) => void {
    this.#set(blob, 0);
    return (bytes) => {
      this.#set(blob, (this.#done.get(blob.digest) ?? 0) + bytes);
    };
  }

  /** The destination has the blob, whether it was sent or there already. */
  finish(blob: Descriptor): void {
    this.#set(blob, blob.size);
  }

  #set(blob: Descriptor, bytes: number): void {
    const capped = Math.min(bytes, blob.size);
    this.#completed += capped - (this.#done.get(blob.digest) ?? 0);
    this.#done.set(blob.digest, capped);
    this.#notify({ completedBytes: this.#completed, totalBytes: this.#totalBytes });
  }
}
