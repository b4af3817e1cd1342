/** How long an origin may let us wait for the head of its answer. */
import { DeadlineError } from '../../platform/deadline.ts';

export interface HeadDeadlines {
  /** Within this many milliseconds a peer gives a sign of life: a TLS handshake, `102 Processing`, or its answer's head. */
  readonly signMs: number;
  /** Within this many milliseconds of that sign it gives the head of its answer. */
  readonly headMs: number;
}

/** Nothing has come of a peer: it hangs, or is too busy even for that. */
export class NoSignOfLife extends DeadlineError {}

/** So many times as long a peer is given that is heard of elsewhere meanwhile: it is busy, not hung. */
const BUSY_FACTOR = 5;

/** When anything has come from a peer last, by whatever connection. */
export class LastSign {
  #at = -Infinity;

  heard(): void {
    this.#at = performance.now();
  }

  /** Milliseconds. */
  get age(): number {
    return performance.now() - this.#at;
  }
}

export interface HeadDeadlineOptions extends HeadDeadlines {
  /** The peer's name, for the error. */
  readonly peer: string;
  readonly lastSign: LastSign;
  readonly onLate: (error: DeadlineError) => void;
}

/**
 * Two deadlines in a row: a peer that is frozen is found out soon, one that works for us is given time. Many who ask at the same time make
 * it slow to answer each, and must not for that go elsewhere all together.
 */
export class HeadDeadline {
  readonly #options: HeadDeadlineOptions;
  readonly #startedAt = performance.now();
  #timer: NodeJS.Timeout | undefined;
  #lastLook: NodeJS.Immediate | undefined;

  /** Runs from now on. */
  constructor(options: HeadDeadlineOptions) {
    this.#options = options;
    this.#awaitSign(options.signMs);
  }

  signOfLife(): void {
    const { peer, headMs, lastSign, onLate } = this.#options;
    lastSign.heard();
    this.#arm(headMs, () => {
      onLate(new DeadlineError(`the answer of the ${peer}`, headMs));
    });
  }

  /** The head is there, or nobody waits for it any more. */
  stop(): void {
    clearTimeout(this.#timer);
    clearImmediate(this.#lastLook);
  }

  #awaitSign(ms: number): void {
    this.#arm(ms, () => {
      const { peer, signMs, lastSign } = this.#options;
      const sinceSign = lastSign.age;
      const isBusy = sinceSign < signMs && performance.now() - this.#startedAt < BUSY_FACTOR * signMs;
      if (isBusy) this.#awaitSign(signMs - sinceSign);
      else this.#options.onLate(new NoSignOfLife(`a sign of life from the ${peer}`, signMs));
    });
  }

  #arm(ms: number, onTime: () => void): void {
    this.stop();
    this.#timer = setTimeout(() => {
      // On a busy node it may be us who were late: what has come meanwhile is looked at before anybody is given up.
      this.#lastLook = setImmediate(onTime);
    }, ms);
  }
}
