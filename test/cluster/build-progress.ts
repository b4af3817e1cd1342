/**
 * How far the compilation of several programs is, in one line of text. Times are given by the caller, in
 * milliseconds.
 */

export interface PlannedBuild {
  readonly name: string;
  /** On two processors. */
  readonly seconds: number;
}

/** Of a program's time, the part that is left for linking when its last package is compiled. */
const LINKING = 0.1;
/** Before this much is done, its pace says little about the rest. */
const ENOUGH = 0.05;

export class BuildProgress {
  readonly #plan: readonly PlannedBuild[];
  readonly #processors: number;
  readonly #expectedMs: number;
  readonly #startedAt: number;
  readonly #packages = new Map<string, number>();
  /** Index in the plan of what is compiled now. */
  #current = 0;
  #compiled = 0;

  constructor(plan: readonly PlannedBuild[], processors: number, startedAt: number) {
    this.#plan = plan;
    this.#processors = processors;
    this.#expectedMs = (seconds(plan) * 1000 * 2) / processors;
    this.#startedAt = startedAt;
  }

  /** Of how many packages a program is made. */
  expect(name: string, packages: number): void {
    this.#packages.set(name, packages);
  }

  start(name: string): void {
    this.#current = this.#plan.findIndex((build) => build.name === name);
    this.#compiled = 0;
  }

  /** How many packages of the present program are compiled. */
  compiled(packages: number): void {
    this.#compiled = packages;
  }

  finish(): void {
    this.#current += 1;
    this.#compiled = 0;
  }

  /** Between 0 and 1. */
  fraction(): number {
    const done = seconds(this.#plan.slice(0, this.#current));
    const present = this.#plan[this.#current];
    const part = present ? present.seconds * this.#partOf(present.name) : 0;
    return (done + part) / seconds(this.#plan);
  }

  announcement(): string {
    const names = this.#plan.map(({ name }) => name);
    // The largest comes last.
    const what = names.length <= 3 ? names.join(', ') : `${names.at(-1)} and ${names.length - 1} others`;
    const [quiet, busy] = [this.#expectedMs * 0.45, this.#expectedMs * 1.1].map(minutes);
    const time = quiet === busy ? `about ${busy} min` : `${quiet} to ${busy} min`;
    const where = `on ${this.#processors} processor${this.#processors === 1 ? '' : 's'}`;
    return `first run: compiling ${what} from source, ${time} ${where}; later runs find them in the cache`;
  }

  text(now: number): string {
    const elapsed = now - this.#startedAt;
    const fraction = this.fraction();
    const total = fraction < ENOUGH ? Math.max(this.#expectedMs, elapsed) : elapsed / fraction;
    const position = `${this.#plan[this.#current]?.name ?? 'done'}, ${Math.min(this.#current + 1, this.#plan.length)} of ${this.#plan.length}`;
    const left = Math.max(0, total - elapsed);
    return `${Math.floor(fraction * 100)} % compiled (${position}), ${clock(elapsed)} so far, about ${minutes(left)} min to go`;
  }

  conclusion(now: number): string {
    return `compiled in ${clock(now - this.#startedAt)} min`;
  }

  #partOf(name: string): number {
    const packages = this.#packages.get(name);
    return packages === undefined ? 0 : Math.min(1, this.#compiled / packages) * (1 - LINKING);
  }
}

function seconds(plan: readonly PlannedBuild[]): number {
  return plan.reduce((sum, build) => sum + build.seconds, 0);
}

/** Whole minutes, at least one. */
function minutes(ms: number): string {
  return String(Math.max(1, Math.round(ms / 60_000)));
}

/** `4:07`. */
function clock(ms: number): string {
  const whole = Math.round(ms / 1000);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, '0')}`;
}
