/**
 * Stages of a test run: programs run one after the other in lanes that stand side by side, and a summary at
 * the end.
 */
import { spawn } from 'node:child_process';
import { mkdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';

export const ROOT = join(import.meta.dirname, '..', '..');
const RESULTS = join(ROOT, '.build', 'test');

export interface Stage {
  readonly name: string;
  /** True when all is well. */
  readonly run: () => Promise<boolean>;
}

/** Stages that run one after the other. */
export type Lane = readonly Stage[];

/** Runs a program in the checkout with our output; true when it exits with 0. */
export type RunProgram = (
  command: string,
  args: readonly string[],
  env?: NodeJS.ProcessEnv,
) => Promise<boolean>;

/** Programs that `signal` interrupts as Ctrl-C would. */
export function programs(signal: AbortSignal): RunProgram {
  return async (command, args, env = {}) => {
    signal.throwIfAborted();
    const options = { cwd: ROOT, stdio: 'inherit', killSignal: 'SIGINT', signal } as const;
    const child = spawn(command, args, { ...options, env: { ...process.env, ...env } });
    let failure: Error | undefined;
    child.once('error', (error) => (failure = error));
    const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
    signal.throwIfAborted();
    if (failure) throw failure;
    return code === 0;
  };
}

/** Runs tests of one of jest's projects; their counts are part of the summary. */
export async function jest(
  program: RunProgram,
  project: string,
  args: readonly string[] = [],
  env: NodeJS.ProcessEnv = {},
): Promise<boolean> {
  const flags = ['--experimental-vm-modules', '--disable-warning=ExperimentalWarning'];
  const output = ['--json', `--outputFile=${join(RESULTS, `${project}.json`)}`];
  const bin = join(ROOT, 'node_modules', 'jest', 'bin', 'jest.js');
  return await program(
    process.execPath,
    [...flags, bin, '--selectProjects', project, ...output, ...args],
    env,
  );
}

/**
 * Runs the phases one after the other, their lanes side by side. Prints a summary; true when nothing failed.
 */
export async function runPhases(phases: readonly (readonly Lane[])[]): Promise<boolean> {
  await rm(RESULTS, { recursive: true, force: true });
  await mkdir(RESULTS, { recursive: true });
  const results: Result[] = [];
  for (const lanes of phases) {
    const ended = await Promise.allSettled(lanes.map(runLane));
    for (const lane of ended) {
      // All lanes have ended by now, and have taken down what they started.
      if (lane.status === 'rejected') throw lane.reason;
      results.push(...lane.value);
    }
  }
  const counts = await countTests();
  console.log(`\n${results.map(({ row }) => row).join('\n')}\n`);
  console.log(`${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`);
  return results.every(({ ok }) => ok) && counts.failed === 0;
}

interface Result {
  readonly ok: boolean;
  /** Its line of the summary. */
  readonly row: string;
}

async function runLane(lane: Lane): Promise<Result[]> {
  const results: Result[] = [];
  for (const stage of lane) results.push(await timed(stage));
  return results;
}

async function timed({ name, run }: Stage): Promise<Result> {
  const started = performance.now();
  console.log(`\n=== ${name}`);
  const ok = await run();
  const seconds = ((performance.now() - started) / 1000).toFixed(0);
  return { ok, row: `${name.padEnd(12)} ${ok ? 'ok    ' : 'FAILED'} ${seconds.padStart(5)} s` };
}

interface Counts {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

async function countTests(): Promise<Counts> {
  const all = await Promise.all(['unit', 'integration', 'e2e', 'lifecycle'].map(readCounts));
  const sum = (key: keyof Counts): number => all.reduce((total, counts) => total + counts[key], 0);
  return { passed: sum('passed'), failed: sum('failed'), skipped: sum('skipped') };
}

/** Zeros for a project of which nothing ran. */
async function readCounts(project: string): Promise<Counts> {
  try {
    const report = JSON.parse(await readFile(join(RESULTS, `${project}.json`), 'utf8')) as {
      numPassedTests: number;
      numFailedTests: number;
      numRuntimeErrorTestSuites: number;
      numPendingTests: number;
    };
    // A file that does not even load runs no test, and must count as a failure all the same.
    const failed = report.numFailedTests + report.numRuntimeErrorTestSuites;
    return { passed: report.numPassedTests, failed, skipped: report.numPendingTests };
  } catch {
    return { passed: 0, failed: 0, skipped: 0 };
  }
}
