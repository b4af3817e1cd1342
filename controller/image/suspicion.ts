/** The moment since which the store may have lost more than is known: everything is verified anew from then on. */
import type { Clock } from '../../platform/clock.ts';

/** Further losses found within this time are those that the last suspicion was about. */
const SETTLES_MS = 30_000;

export class Suspicion {
  readonly #clock: Clock;
  readonly #onRaised: () => void;
  #raisedAt: number | undefined;

  constructor(clock: Clock, onRaised: () => void) {
    this.#clock = clock;
    this.#onRaised = onRaised;
  }

  /** Milliseconds since the epoch. */
  get at(): number | undefined {
    return this.#raisedAt;
  }

  raise(): void {
    const now = this.#clock.now();
    if (this.#raisedAt !== undefined && now - this.#raisedAt < SETTLES_MS) return;
    this.#raisedAt = now;
    this.#onRaised();
  }
}
