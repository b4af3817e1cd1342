/** `make check`: types, lint, and the tests of the files that changed and of what depends on them. */
import { parseArgs } from 'node:util';
import { interruptible } from '../../build/interrupt.ts';
import { runProgram } from '../../build/program.ts';
import { changedFiles } from './changes.ts';
import { type CheckPlan, clusterCommands, planCheck } from './check-plan.ts';
import { jest, type Lane, programs, ROOT, runPhases } from './stages.ts';

const help = `make check

Types, lint, and the unit and integration tests of the files that changed since this branch left main (on main: since
the last commit but one), committed or not, and of what depends on them. Names the cluster tests worth running besides.
`;

function stages(plan: CheckPlan, signal: AbortSignal): Lane {
  const program = programs(signal);
  const cache = ['--cache', '--cache-location', '.build/eslintcache'];
  const [code, all] = plan.everything ? [['.'], ['.']] : [plan.code, plan.all];
  const lint = ['--no-warn-ignored', ...cache, ...code];
  const format = ['--check', '--ignore-unknown', '--log-level', 'warn', ...all];
  const tests = plan.everything ? [] : ['--passWithNoTests', '--findRelatedTests', ...plan.related];
  return [
    { name: 'types', run: () => program('tsc', ['-b']) },
    ...(code.length > 0 ? [{ name: 'lint', run: () => program('eslint', lint) }] : []),
    { name: 'format', run: () => program('prettier', format) },
    ...(plan.everything || plan.related.length > 0
      ? [
          { name: 'unit', run: () => jest(program, 'unit', tests) },
          { name: 'integration', run: () => jest(program, 'integration', ['--runInBand', ...tests]) },
        ]
      : []),
  ];
}

async function main(argv: readonly string[]): Promise<number> {
  parseArgs({ args: [...argv] });
  const changed = changedFiles(ROOT);
  if (changed.length === 0) {
    console.log('nothing has changed');
    return 0;
  }
  const plan = planCheck(changed);
  console.log(`${changed.length} changed: ${changed.slice(0, 8).join(' ')}${changed.length > 8 ? ' …' : ''}`);
  const ok = await interruptible((signal) => runPhases([[stages(plan, signal)]]));
  if (plan.cluster.length > 0)
    console.log(`\nnot run, but worth it: ${clusterCommands(plan.cluster).join(' ; ')}`);
  if (plan.everything) console.log('\nworth it besides: make test');
  return ok ? 0 : 1;
}

await runProgram(help, main);
