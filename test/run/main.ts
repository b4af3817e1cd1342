/** `make test`: first what needs no cluster, then what does. A closing line counts every test. */
import { parseArgs } from 'node:util';
import { interruptible } from '../../build/interrupt.ts';
import { runProgram, UsageError } from '../../build/program.ts';
import { withSharedCluster } from '../larder/shared-cluster.ts';
import { jest, type Lane, programs, runPhases } from './stages.ts';

const help = `make test                     types, lint, unit, integration and real-cluster tests
make e2e|lifecycle            the tests on one of the two real clusters only
make e2e ONLY="story rescue"  those of some files
KEEP=1 make e2e               leaves the cluster up to look at

make types, make lint, make unit and make integration run one part each.
`;

/** The phases of a whole run. Lanes run side by side since each mostly waits for something else. */
function phases(patterns: readonly string[], signal: AbortSignal): Lane[][] {
  const program = programs(signal);
  const cache = ['--cache', '--cache-location', '.build/eslintcache'];
  /** The tests of a project share one cluster with Larder installed; they run one file after the other. */
  const clusterTests = (project: string): Promise<boolean> =>
    withSharedCluster((env) => jest(program, project, ['--runInBand', ...patterns], env), signal);
  return [
    [
      [
        { name: 'types', run: () => program('tsc', ['-b']) },
        { name: 'lint', run: () => program('eslint', [...cache, '.']) },
        { name: 'unused', run: () => program('knip', ['--no-progress']) },
        { name: 'prose', run: () => program(process.execPath, ['build/check-prose.ts']) },
        { name: 'format', run: () => program('prettier', ['--check', '--log-level', 'warn', '.']) },
        { name: 'unit', run: () => jest(program, 'unit', patterns) },
      ],
      [{ name: 'integration', run: () => jest(program, 'integration', ['--runInBand', ...patterns]) }],
    ],
    [
      [{ name: 'e2e', run: () => clusterTests('e2e') }],
      [{ name: 'lifecycle', run: () => clusterTests('lifecycle') }],
    ],
  ];
}

/** The phases with nothing but the stage asked for. */
function choose(all: Lane[][], only: string | undefined): Lane[][] {
  if (only === undefined) return all;
  const stages = all.flat(2);
  const chosen = stages.filter(({ name }) => name === only);
  if (chosen.length === 0)
    throw new UsageError(
      `there is no stage "${only}": give one of ${stages.map(({ name }) => name).join(', ')}`,
    );
  return [[chosen]];
}

async function main(argv: readonly string[]): Promise<number> {
  const { positionals } = parseArgs({ args: [...argv], allowPositionals: true });
  const [only, ...patterns] = positionals;
  const ok = await interruptible((signal) => runPhases(choose(phases(patterns, signal), only)));
  return ok ? 0 : 1;
}

await runProgram(help, main);
