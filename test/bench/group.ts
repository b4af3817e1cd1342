/**
 * A group of benchmarks: figures with their goals, and the code that measures them side by side in one run.
 */

export interface Figure {
  /** Flat key in `.bench/results.json`, such as `warm_blob_vs_nginx`. */
  readonly key: string;
  /** What is measured, against what, in which unit. */
  readonly meaning: string;
  /** Absent: reported only. */
  readonly goal?: { readonly atLeast: number } | { readonly atMost: number };
}

export interface Bench {
  /** Gives the value of a figure of the group. */
  record(key: string, value: number): void;
  /** A line for whoever watches, such as what the rounds gave. */
  report(line: string): void;
  /** Aborted on SIGINT and SIGTERM: a group takes down what it started in `finally`. */
  readonly signal: AbortSignal;
}

export interface BenchGroup {
  /** Short, to be named on the command line: `make bench ONLY=warm`. */
  readonly name: string;
  readonly figures: readonly Figure[];
  /** Records every figure of the group, or throws. */
  run(bench: Bench): Promise<void>;
}

/** How far a value is from its goal, in the goal's unit; 0 when it is met. */
export function missedBy({ goal }: Figure, value: number): number {
  if (goal === undefined) return 0;
  return 'atLeast' in goal ? Math.max(0, goal.atLeast - value) : Math.max(0, value - goal.atMost);
}
