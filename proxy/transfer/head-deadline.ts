/** How long an origin may take to send the head of its response. */
import { DeadlineError } from '../../platform/deadline.ts';

export interface HeadDeadlines {
  /**
   * How long a peer may give no sign of life (TLS handshake, `102 Processing`, the response's head), in
   * milliseconds.
   */
  readonly signMs: number;
  /** How long it may take from then on to send the head of its response, in milliseconds. */
  readonly headMs: number;
}

/** A peer gave no sign of life: it hangs, or is too busy even for that. */
export class NoSignOfLife extends DeadlineError {}

/**
 * How many times as long to wait for a peer that is heard on other connections meanwhile: it is busy, not
 * hung.
 */
const BUSY_FACTOR = 5;

/** When a peer was last heard, on any connection. */
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
 * Two deadlines in a row: a frozen peer is noticed soon, and one that works for us is given time. When many
 * requests at once make it slow, they must not all go elsewhere for that.
 */
export class HeadDeadline {
  readonly #options: HeadDeadlineOptions;
  readonly #startedAt = performance.now();
  #timer: NodeJS.Timeout | undefined;
  #lastLook: NodeJS.Immediate | undefined;

  /** Starts at once. */
  constructor(options: HeadDeadlineOptions) {
    this.#options = options;
    this.#awaitSign(options.signMs);
  }

  signOfLife(): void {
    const { peer, headMs, lastSign, onLate } = this.#options;
    lastSign.heard();
    this.#arm(headMs, () => {
      onLate(new DeadlineError(`the response of the ${peer}`, headMs));
    });
  }

  /** For when the head is there, or nobody waits for it any more. */
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
      // On a busy node we may be late ourselves: read what has come meanwhile before giving the peer up.
      this.#lastLook = setImmediate(onTime);
    }, ms);
  }
}
