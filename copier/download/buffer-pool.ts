/** Buffers of one size, used again and again: garbage would come faster than it is collected. */

export const BUFFER_BYTES = 256 * 1024;

export class BufferPool {
  readonly #budget: number;
  readonly #free: Buffer[] = [];
  #lent = 0;

  /** @param budgetBytes what may be lent before memory counts as scarce, and what is kept for later */
  constructor(budgetBytes: number) {
    this.#budget = Math.floor(budgetBytes / BUFFER_BYTES);
  }

  /** More is lent than the budget allows: borrowers return what they can do without. */
  get isScarce(): boolean {
    return this.#lent > this.#budget;
  }

  take(): Buffer {
    this.#lent += 1;
    return this.#free.pop() ?? Buffer.allocUnsafeSlow(BUFFER_BYTES);
  }

  /** The caller must not use it any more. */
  giveBack(buffer: Buffer): void {
    this.#lent -= 1;
    if (this.#free.length < this.#budget) this.#free.push(buffer);
  }
}
