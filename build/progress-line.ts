/** One line that says how far something long is. */

/** The part of a stream that is needed here; `isTTY` says whether a person watches. */
export interface ProgressStream {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

/** Between two lines where they cannot be replaced, in milliseconds. */
const PAUSE_MS = 20_000;

/** Replaces its line on a terminal; elsewhere prints a new one every 20 seconds at most. */
export class ProgressLine {
  readonly #stream: ProgressStream;
  readonly #indent: string;
  readonly #now: () => number;
  #shownAt: number | undefined;

  /** @param now a clock in milliseconds */
  constructor(stream: ProgressStream, indent = '', now: () => number = () => performance.now()) {
    this.#stream = stream;
    this.#indent = indent;
    this.#now = now;
  }

  show(text: string): void {
    const line = this.#indent + text;
    if (this.#stream.isTTY) {
      // A line that wraps could not be replaced.
      this.#stream.write(`\r\x1b[K${line.slice(0, (this.#stream.columns ?? 80) - 1)}`);
      this.#shownAt = this.#now();
      return;
    }
    if (this.#shownAt !== undefined && this.#now() - this.#shownAt < PAUSE_MS) return;
    this.#stream.write(`${line}\n`);
    this.#shownAt = this.#now();
  }

  /** Takes the line off a terminal, so that others can follow. */
  end(): void {
    if (this.#stream.isTTY && this.#shownAt !== undefined) this.#stream.write('\r\x1b[K');
    this.#shownAt = undefined;
  }
}
