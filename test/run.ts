/** `make test`: what needs no cluster, then what does; within each, lanes side by side. A closing line counts every test. */
import { spawn } from 'node:child_process';
import { mkdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { withSharedCluster } from './larder/shared-cluster.ts';

const ROOT = join(import.meta.dirname, '..');
const RESULTS = join(ROOT, '.build', 'test');

interface Counts {
  passed: number;
  failed: number;
  skipped: number;
}

interface Stage {
  name: string;
  run: () => Promise<boolean>;
}

/** Stages that run one after the other. */
type Lane = Stage[];

/** Runs a program in the checkout with our output; true when it exits 0. */
function program(command: string, args: string[], env: NodeJS.ProcessEnv = {}): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd: ROOT, stdio: 'inherit', env: { ...process.env, ...env } });
    child.once('error', reject);
    child.once('exit', (code) => {
      resolve(code === 0);
    });
  });
}

function jest(project: string, args: string[] = [], env: NodeJS.ProcessEnv = {}): Promise<boolean> {
  const flags = ['--experimental-vm-modules', '--disable-warning=ExperimentalWarning'];
  const output = ['--json', `--outputFile=${join(RESULTS, `${project}.json`)}`];
  const bin = join(ROOT, 'node_modules', 'jest', 'bin', 'jest.js');
  return program(process.execPath, [...flags, bin, '--selectProjects', project, ...output, ...args], env);
}

/** The tests of a project share one cluster with Larder installed; they run one file after the other. */
function clusterTests(project: string, pattern: string[]): Promise<boolean> {
  return withSharedCluster((env) => jest(project, ['--runInBand', ...pattern], env));
}

/** The phases of a whole run, one after the other; their lanes run at the same time, since each mostly waits for something else. */
function phases(pattern: string[]): Lane[][] {
  const cache = ['--cache', '--cache-location', '.build/eslintcache'];
  return [
    [
      [
        { name: 'types', run: () => program('tsc', ['-b']) },
        { name: 'lint', run: () => program('eslint', [...cache, '.']) },
        { name: 'format', run: () => program('prettier', ['--check', '--log-level', 'warn', '.']) },
        { name: 'prose', run: () => program(process.execPath, ['build/check-prose.ts']) },
        { name: 'unit', run: () => jest('unit', pattern) },
      ],
      [{ name: 'integration', run: () => jest('integration', ['--runInBand', ...pattern]) }],
    ],
    [
      [{ name: 'e2e', run: () => clusterTests('e2e', pattern) }],
      [{ name: 'lifecycle', run: () => clusterTests('lifecycle', pattern) }],
    ],
  ];
}

/** The phases with nothing but the stage asked for. */
function choose(all: Lane[][], only: string | undefined): Lane[][] {
  if (only === undefined) return all;
  const stages = all.flat(2);
  const chosen = stages.filter(({ name }) => name === only);
  if (chosen.length === 0)
    throw new Error(`no stage is called '${only}': give one of ${stages.map(({ name }) => name).join(', ')}`);
  return [[chosen]];
}

interface Result {
  ok: boolean;
  row: string;
}

/** Runs a stage; gives its line of the summary. */
async function timed(stage: Stage): Promise<Result> {
  const started = performance.now();
  console.log(`\n=== ${stage.name}`);
  const ok = await stage.run();
  const seconds = ((performance.now() - started) / 1000).toFixed(0);
  return { ok, row: `${stage.name.padEnd(12)} ${ok ? 'ok    ' : 'FAILED'} ${seconds.padStart(5)} s` };
}

async function runLane(lane: Lane): Promise<Result[]> {
  const results: Result[] = [];
  for (const stage of lane) results.push(await timed(stage));
  return results;
}

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

async function main(): Promise<void> {
  const [only, ...pattern] = process.argv.slice(2);
  await rm(RESULTS, { recursive: true, force: true });
  await mkdir(RESULTS, { recursive: true });
  const results: Result[] = [];
  for (const lanes of choose(phases(pattern), only))
    results.push(...(await Promise.all(lanes.map(runLane))).flat());
  const total: Counts = { passed: 0, failed: 0, skipped: 0 };
  for (const project of ['unit', 'integration', 'e2e', 'lifecycle']) {
    const counts = await readCounts(project);
    total.passed += counts.passed;
    total.failed += counts.failed;
    total.skipped += counts.skipped;
  }
  console.log(`\n${results.map(({ row }) => row).join('\n')}\n`);
  console.log(`${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`);
  process.exitCode = results.every(({ ok }) => ok) && total.failed === 0 ? 0 : 1;
}

await main();
