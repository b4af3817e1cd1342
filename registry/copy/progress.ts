/** Counts the bytes of a copy; a transfer that has to start over takes its bytes back. */
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

  /** Counts from nothing for this blob. @returns the counter to feed */
  begin(blob: Descriptor): (bytes: number) => void {
    this.#set(blob, 0);
    return (bytes) => {
      this.#set(blob, (this.#done.get(blob.digest) ?? 0) + bytes);
    };
  }

  /** The blob is there, wherever it came from. */
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
