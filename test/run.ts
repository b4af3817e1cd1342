/** `make test`: all stages in order, those with a cluster side by side, each with its seconds, and a closing line that counts every test. */
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
  /** Stages with the same word here run at the same time. */
  beside?: string;
}

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

function stages(pattern: string[]): Stage[] {
  return [
    { name: 'types', run: () => program('tsc', ['-b']) },
    {
      name: 'lint',
      run: () => program('eslint', ['--cache', '--cache-location', '.build/eslintcache', '.']),
    },
    { name: 'format', run: () => program('prettier', ['--check', '--log-level', 'warn', '.']) },
    { name: 'unit', run: () => jest('unit', pattern) },
    { name: 'integration', run: () => jest('integration', ['--runInBand', ...pattern]) },
    // Mostly waiting for a cluster, and each for its own.
    { name: 'e2e', run: () => clusterTests('e2e', pattern), beside: 'clusters' },
    { name: 'lifecycle', run: () => clusterTests('lifecycle', pattern), beside: 'clusters' },
  ];
}

/** What runs at the same time: one stage, or several that say so. */
function inTurns(chosen: Stage[]): Stage[][] {
  return Object.values(Object.groupBy(chosen, ({ name, beside }) => beside ?? name)).map(
    (group) => group ?? [],
  );
}

function choose(all: Stage[], only: string | undefined): Stage[] {
  const chosen = all.filter(({ name }) => only === undefined || name === only);
  if (chosen.length === 0)
    throw new Error(`no stage is called '${only}': give one of ${all.map(({ name }) => name).join(', ')}`);
  return chosen;
}

/** Runs a stage; gives its line of the summary. */
async function timed(stage: Stage): Promise<{ ok: boolean; row: string }> {
  const started = performance.now();
  console.log(`\n=== ${stage.name}`);
  const ok = await stage.run();
  const seconds = ((performance.now() - started) / 1000).toFixed(0);
  return { ok, row: `${stage.name.padEnd(12)} ${ok ? 'ok    ' : 'FAILED'} ${seconds.padStart(5)} s` };
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
  const results: { ok: boolean; row: string }[] = [];
  for (const together of inTurns(choose(stages(pattern), only)))
    results.push(...(await Promise.all(together.map(timed))));
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
