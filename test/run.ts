/** `make test`: all stages in order, each with its seconds, and one closing line that counts every test that ran. */
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

/** Cluster tests share one cluster with Larder installed; they run one file after the other. */
function clusterTests(pattern: string[]): Promise<boolean> {
  return withSharedCluster((env) => jest('e2e', ['--runInBand', ...pattern], env));
}

function stages(only: string | undefined, pattern: string[]): Stage[] {
  const all: Stage[] = [
    { name: 'types', run: () => program('tsc', ['-b']) },
    {
      name: 'lint',
      run: () => program('eslint', ['--cache', '--cache-location', '.build/eslintcache', '.']),
    },
    { name: 'format', run: () => program('prettier', ['--check', '--log-level', 'warn', '.']) },
    { name: 'unit', run: () => jest('unit', pattern) },
    { name: 'integration', run: () => jest('integration', ['--runInBand', ...pattern]) },
    { name: 'e2e', run: () => clusterTests(pattern) },
  ];
  if (only === undefined) return all;
  const chosen = all.filter((stage) => stage.name === only);
  if (chosen.length === 0)
    throw new Error(`no stage is called '${only}': give one of ${all.map((stage) => stage.name).join(', ')}`);
  return chosen;
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
  const rows: string[] = [];
  let ok = true;
  for (const stage of stages(only, pattern)) {
    const started = performance.now();
    console.log(`\n=== ${stage.name}`);
    const passed = await stage.run();
    rows.push(
      `${stage.name.padEnd(12)} ${passed ? 'ok    ' : 'FAILED'} ${((performance.now() - started) / 1000).toFixed(0).padStart(5)} s`,
    );
    ok &&= passed;
  }
  const total: Counts = { passed: 0, failed: 0, skipped: 0 };
  for (const project of ['unit', 'integration', 'e2e']) {
    const counts = await readCounts(project);
    total.passed += counts.passed;
    total.failed += counts.failed;
    total.skipped += counts.skipped;
  }
  console.log(`\n${rows.join('\n')}\n`);
  console.log(`${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`);
  process.exitCode = ok && total.failed === 0 ? 0 : 1;
}

await main();
