/** Memory for bytes on their way, in pieces of one size that are used over and over: garbage would come faster than it is collected. */

export const SLAB_BYTES = 256 * 1024;

export class Slabs {
  readonly #budget: number;
  readonly #free: Buffer[] = [];
  #lent = 0;

  /** @param budgetBytes how much may be kept for longer than it has to be */
  constructor(budgetBytes: number) {
    this.#budget = Math.floor(budgetBytes / SLAB_BYTES);
  }

  /** More is in use than should be: what can be given back is to be given back. */
  get isScarce(): boolean {
    return this.#lent > this.#budget;
  }

  take(): Buffer {
    this.#lent += 1;
    return this.#free.pop() ?? Buffer.allocUnsafeSlow(SLAB_BYTES);
  }

  /** Nobody may use it any more. */
  giveBack(slab: Buffer): void {
    this.#lent -= 1;
    if (this.#free.length < this.#budget) this.#free.push(slab);
  }
}
