/** `make bench`: runs the groups that are named (all, when none is), prints their figures and writes `.bench/results.json`. */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { GROUPS } from './groups.ts';
import type { Bench, BenchGroup } from './group.ts';
import { formatTable, type Results } from './table.ts';

const RESULTS = join(import.meta.dirname, '../../.bench/results.json');

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
  await group.run(bench);
  const missing = group.figures.filter(({ key }) => results[key] === undefined).map(({ key }) => key);
  if (missing.length > 0) throw new Error(`${group.name} did not measure ${missing.join(', ')}`);
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
      await runGroup(group, measured, interrupted.signal);
    } catch (error) {
      console.error(error);
      process.exitCode = 1;
    }
    if (interrupted.signal.aborted) break;
  }
  await mkdir(dirname(RESULTS), { recursive: true });
  await writeFile(RESULTS, `${JSON.stringify({ ...(await readResults()), ...measured }, undefined, 2)}\n`);
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
