/**
 * `make bench`: runs the groups that are named (all, if none is), prints their figures and writes
 * `.bench/results.json`.
 */
import { once } from 'node:events';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { onInterrupt } from '../../build/interrupt.ts';
import { requirePrerequisites } from '../../build/prerequisites.ts';
import { runProgram, UsageError } from '../../build/program.ts';
import { GROUPS } from './groups.ts';
import type { Bench, BenchGroup } from './group.ts';
import { formatTable, type Results } from './table.ts';

const RESULTS = join(import.meta.dirname, '../../.bench/results.json');
/**
 * For one group, in milliseconds: if it hangs, the others are measured all the same, and the command ends.
 */
const GROUP_MS = 8 * 60_000;
/** For taking down what a group has started. */
const CLEAN_UP_MS = 30_000;

const help = `make bench                   measures everything
make bench ONLY="warm cold"  some groups of: ${groupNames()}

Prints a table and writes .bench/results.json, where the figures of other groups stay. Needs Linux, root and Go.
`;

function groupNames(): string {
  return GROUPS.map(({ name }) => name).join(', ');
}

/** Figures of earlier runs stay, so that one group can be measured again by itself. */
async function readResults(): Promise<Results> {
  try {
    return JSON.parse(await readFile(RESULTS, 'utf8')) as Results;
  } catch {
    return {};
  }
}

function choose(names: readonly string[]): readonly BenchGroup[] {
  const unknown = names.find((name) => !GROUPS.some((group) => group.name === name));
  if (unknown !== undefined)
    throw new UsageError(`there is no group "${unknown}": give some of ${groupNames()}`);
  return names.length === 0 ? GROUPS : GROUPS.filter(({ name }) => names.includes(name));
}

/** Figures that a group has recorded count even if it fails later. */
async function runGroup(
  group: BenchGroup,
  results: Record<string, number>,
  signal: AbortSignal,
): Promise<void> {
  console.error(`\n=== ${group.name}`);
  const bench: Bench = {
    record: (key, value) => {
      if (!group.figures.some((figure) => figure.key === key))
        throw new Error(`${group.name} declares no figure ${key}`);
      results[key] = value;
    },
    report: (line) => {
      console.error(`   ${line}`);
    },
    signal,
  };
  await Promise.race([group.run(bench), lateAfter(signal)]);
  const missing = group.figures.filter(({ key }) => results[key] === undefined).map(({ key }) => key);
  if (missing.length > 0) throw new Error(`${group.name} did not measure ${missing.join(', ')}`);
}

/** Throws some time after the signal, in case the group ignores it. */
async function lateAfter(signal: AbortSignal): Promise<never> {
  if (!signal.aborted) await once(signal, 'abort');
  await delay(CLEAN_UP_MS, undefined, { ref: false });
  throw signal.reason;
}

async function save(measured: Results): Promise<void> {
  await mkdir(dirname(RESULTS), { recursive: true });
  await writeFile(RESULTS, `${JSON.stringify({ ...(await readResults()), ...measured }, undefined, 2)}\n`);
}

async function main(argv: readonly string[]): Promise<number> {
  const { positionals } = parseArgs({ args: [...argv], allowPositionals: true });
  const groups = choose(positionals);
  requirePrerequisites('linux', 'root', 'go');
  const interrupted = onInterrupt();
  const measured: Record<string, number> = {};
  let failed = false;
  for (const group of groups) {
    try {
      const startedAt = performance.now();
      await runGroup(group, measured, AbortSignal.any([interrupted, AbortSignal.timeout(GROUP_MS)]));
      console.error(`   ${group.name} took ${((performance.now() - startedAt) / 1_000).toFixed(0)} s`);
    } catch (error) {
      console.error(error);
      failed = true;
    }
    await save(measured);
    if (interrupted.aborted) break;
  }
  const figures = groups.flatMap((group) => group.figures);
  console.log(`\n${formatTable(figures, measured)}`);
  return failed ? 1 : 0;
}

await runProgram(help, main);
// For what a group that had to be left behind still holds open.
setTimeout(() => process.exit(), CLEAN_UP_MS).unref();
