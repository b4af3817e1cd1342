/** `make bench`: runs the groups that are named (all, when none is), prints their figures and writes `.bench/results.json`. */
import { once } from 'node:events';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { GROUPS } from './groups.ts';
import type { Bench, BenchGroup } from './group.ts';
import { formatTable, type Results } from './table.ts';

const RESULTS = join(import.meta.dirname, '../../.bench/results.json');
/** For one group, in milliseconds: whatever hangs, the others are measured and the command ends. */
const GROUP_MS = 8 * 60_000;
/** For taking down what a group has started. */
const CLEAN_UP_MS = 30_000;

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
    throw new RangeError(
      `no group is called '${unknown}': give some of ${GROUPS.map(({ name }) => name).join(', ')}`,
    );
  return names.length === 0 ? GROUPS : GROUPS.filter(({ name }) => names.includes(name));
}

/** What a group has measured counts also when it fails later. */
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

/** Throws some time after the signal, for a group that does not heed it. */
async function lateAfter(signal: AbortSignal): Promise<never> {
  if (!signal.aborted) await once(signal, 'abort');
  await delay(CLEAN_UP_MS, undefined, { ref: false });
  throw signal.reason;
}

async function save(measured: Results): Promise<void> {
  await mkdir(dirname(RESULTS), { recursive: true });
  await writeFile(RESULTS, `${JSON.stringify({ ...(await readResults()), ...measured }, undefined, 2)}\n`);
}

async function main(): Promise<void> {
  const groups = choose(process.argv.slice(2));
  const interrupted = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM'] as const) {
    process.once(name, () => {
      interrupted.abort(new Error(`interrupted by ${name}`));
    });
  }
  const measured: Record<string, number> = {};
  for (const group of groups) {
    try {
      const startedAt = performance.now();
      await runGroup(group, measured, AbortSignal.any([interrupted.signal, AbortSignal.timeout(GROUP_MS)]));
      console.error(`   ${group.name} took ${((performance.now() - startedAt) / 1_000).toFixed(0)} s`);
    } catch (error) {
      console.error(error);
      process.exitCode = 1;
    }
    await save(measured);
    if (interrupted.signal.aborted) break;
  }
  console.log(
    `\n${formatTable(
      groups.flatMap(({ figures }) => figures),
      measured,
    )}`,
  );
}

try {
  await main();
} catch (error) {
  console.error(error instanceof RangeError ? error.message : error);
  process.exitCode = 1;
}
// What a group that had to be left behind still holds open.
setTimeout(() => process.exit(), CLEAN_UP_MS).unref();
