/** The readers of a growing file, and for which of them its writer waits. */

/** How far the writer may be ahead of these readers: one that keeps up never reads from the disk. */
const MAX_AHEAD_BYTES = 2 ** 20;
/** The writer goes on only when this little is left: to stop and start the source costs time, too. */
const RESUME_BYTES = MAX_AHEAD_BYTES / 2;

export interface Reader {
  /** The next byte that it wants. */
  offset: number;
  /**
   * The writer waits for it. Of the others it waits for the one furthest ahead only, so that none slows
   * another down.
   */
  readonly isAwaited: boolean;
  /** It held the writer up for too long, or came late; nobody waits for it until it has caught up. */
  isLeftBehind: boolean;
}

/** `written` is always the number of bytes that the writer has brought so far. */
export class Readers {
  readonly #patienceMs: number;
  readonly #readers = new Set<Reader>();
  #heldUp: PromiseWithResolvers<undefined> | undefined;

  /** @param patienceMs a reader that holds the writer up for longer, in milliseconds, is left behind */
  constructor(patienceMs: number) {
    this.#patienceMs = patienceMs;
  }

  join(offset: number, written: number, isAwaited: boolean): Reader {
    const reader = { offset, isAwaited, isLeftBehind: written - offset > MAX_AHEAD_BYTES };
    this.#readers.add(reader);
    return reader;
  }

  advance(reader: Reader, bytes: number, written: number): void {
    reader.offset += bytes;
    if (written - reader.offset <= RESUME_BYTES) reader.isLeftBehind = false;
    this.#resumeWriter(written);
  }

  leave(reader: Reader, written: number): void {
    this.#readers.delete(reader);
    this.#resumeWriter(written);
  }

  mustWait(written: number): boolean {
    return this.#ahead(written) > MAX_AHEAD_BYTES;
  }

  /** Resolves when the writer may go on, which writes nothing meanwhile. */
  async caughtUp(written: number): Promise<void> {
    if (!this.mustWait(written)) return;
    this.#heldUp = Promise.withResolvers();
    const { promise, resolve } = this.#heldUp;
    const patience = setTimeout(() => {
      this.#leaveBehind(written);
      resolve(undefined);
    }, this.#patienceMs);
    await promise;
    clearTimeout(patience);
    this.#heldUp = undefined;
  }

  /** How far the writer is ahead of the readers that it waits for, in bytes. */
  #ahead(written: number): number {
    let awaited = written;
    let furthest = -1;
    for (const { offset, isAwaited, isLeftBehind } of this.#readers) {
      if (isLeftBehind) continue;
      if (isAwaited) awaited = Math.min(awaited, offset);
      else furthest = Math.max(furthest, offset);
    }
    return written - Math.min(awaited, furthest < 0 ? written : furthest);
  }

  #leaveBehind(written: number): void {
    for (const reader of this.#readers)
      if (written - reader.offset > RESUME_BYTES) reader.isLeftBehind = true;
  }

  #resumeWriter(written: number): void {
    if (this.#heldUp !== undefined && this.#ahead(written) <= RESUME_BYTES) this.#heldUp.resolve(undefined);
  }
}
