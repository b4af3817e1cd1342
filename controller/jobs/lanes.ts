/**
 * How many jobs of a kind may run at once, in all and in each lane, and when a lane is free again. Pure; the
 * caller gives the time.
 */

export interface LaneLimits {
  /** Jobs at once. */
  readonly total: number;
  /** Jobs at once in one lane. Default: as many as in all. */
  readonly perLane?: number;
  /** Between the starts of two jobs in one lane, in milliseconds. Default 0. */
  readonly spacingMs?: number;
}

/** All times are milliseconds of one monotonic clock. */
export class Lanes {
  readonly #limits: LaneLimits;
  readonly #running = new Map<string, number>();
  /** Lanes in which nothing may start before a moment. */
  readonly #freeAt = new Map<string, number>();
  #total = 0;

  constructor(limits: LaneLimits) {
    this.#limits = limits;
  }

  get isFull(): boolean {
    return this.#total >= this.#limits.total;
  }

  /** When the lane's spacing and rest are over; -Infinity when it has none. */
  freeAt(lane: string): number {
    return this.#freeAt.get(lane) ?? -Infinity;
  }

  hasRoom(lane: string): boolean {
    const { perLane = Infinity } = this.#limits;
    return !this.isFull && (this.#running.get(lane) ?? 0) < perLane;
  }

  enter(lane: string, now: number): void {
    const { spacingMs = 0 } = this.#limits;
    this.#count(lane, 1);
    if (spacingMs > 0) this.rest(lane, now + spacingMs);
  }

  leave(lane: string): void {
    this.#count(lane, -1);
  }

  /** Lets nothing more start in the lane before that moment. */
  rest(lane: string, until: number): void {
    this.#freeAt.set(lane, Math.max(until, this.freeAt(lane)));
  }

  #count(lane: string, change: 1 | -1): void {
    this.#total += change;
    const count = (this.#running.get(lane) ?? 0) + change;
    if (count === 0) this.#running.delete(lane);
    else this.#running.set(lane, count);
  }
}
