/** How long a peer may take to send the head of its response. */
import { DeadlineError } from '../../platform/deadline.ts';

export interface HeadDeadlines {
  /**
   * How long until a sign of life, in milliseconds. That is `102 Processing` or the head of the response; for
   * a blob, whose connection is new, also the end of the TLS handshake.
   */
  readonly signMs: number;
  /** How long from that sign until the head of the response, in milliseconds. */
  readonly headMs: number;
}

/** The peer has sent nothing: it hangs, or is too busy even for a sign of life. */
export class NoSignOfLife extends DeadlineError {}

/** A peer that sends something on another connection is busy, not hung: it gets this many times as long. */
const BUSY_FACTOR = 5;

/** When a peer last sent anything, on any connection. */
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
 * Two deadlines in a row: a frozen peer is noticed soon, and one that is at work is given time. Many requests
 * at once make a peer answer each of them slowly; that alone must not send all of them elsewhere.
 */
export class HeadDeadline {
  readonly #options: HeadDeadlineOptions;
  readonly #startedAt = performance.now();
  #timer: NodeJS.Timeout | undefined;
  #lastLook: NodeJS.Immediate | undefined;

  /** The time starts at once. */
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

  /** To be called when the head has come, or when nobody waits for it any more. */
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
      // On a busy node it may be us who are late: look once more at what has come, then give the peer up.
      this.#lastLook = setImmediate(onTime);
    }, ms);
  }
}
