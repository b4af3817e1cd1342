/** How long an origin may let us wait for the head of its answer. */
import { DeadlineError } from '../platform/deadline.ts';

export interface HeadDeadlines {
  /** Within this many milliseconds a peer gives a sign of life: its answer's head, or `102 Processing`. */
  readonly signMs: number;
  /** Within this many milliseconds of that sign it gives the head of its answer. */
  readonly headMs: number;
}

/** Two deadlines in a row: a peer that is frozen is found out soon, one that works for us is given time. */
export class HeadDeadline {
  readonly #peer: string;
  readonly #deadlines: HeadDeadlines;
  readonly #onLate: (error: DeadlineError) => void;
  #timer: NodeJS.Timeout | undefined;
  #lastLook: NodeJS.Immediate | undefined;

  /** Runs from now on. @param peer its name, for the error */
  constructor(peer: string, deadlines: HeadDeadlines, onLate: (error: DeadlineError) => void) {
    this.#peer = peer;
    this.#deadlines = deadlines;
    this.#onLate = onLate;
    this.#arm(`a sign of life from the ${peer}`, deadlines.signMs);
  }

  signOfLife(): void {
    this.#arm(`the answer of the ${this.#peer}`, this.#deadlines.headMs);
  }

  stop(): void {
    clearTimeout(this.#timer);
    clearImmediate(this.#lastLook);
  }

  #arm(step: string, ms: number): void {
    this.stop();
    this.#timer = setTimeout(() => {
      // On a busy node it may be us who were late: what has come meanwhile is looked at before anybody is given up.
      this.#lastLook = setImmediate(() => {
        this.#onLate(new DeadlineError(step, ms));
      });
    }, ms);
  }
}
