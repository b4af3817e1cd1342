/** A cluster by hand: `node test/cluster/cli.ts help`. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { GoMissingError } from '../../build/go-tool.ts';
import { Cluster } from './cluster.ts';
import { findLab } from './lab.ts';
import { PrerequisiteError } from './prerequisites.ts';
import { allSlots, parseSlot, planOf, type Slot } from './slot.ts';
import { startCluster } from './start.ts';
import { readState } from './state.ts';
import { isTaken, SlotsTakenError, stopCluster } from './take-slot.ts';

const help = `A real Kubernetes cluster on this machine.

  up [--slot N] [--nodes N]       start one that stays, and say how to use it
  down [--slot N]                 end it and remove all that it made
  status                          what runs in which slot
  kubectl|helm [--slot N] -- …    run the client against it
  exec NODE [--slot N] -- …       run a command on a node, such as node-1
  fault SITE cut|black-hole|reject|slow|restore [--slot N]
                                  take an upstream registry (plain, example) away, and back
  push SITE REPOSITORY TAG [--slot N] [--layer BYTES …]
                                  make a test image and push it to an upstream registry
  programs [--slot N]             the cluster's programs
  freeze|thaw|stop|restart PROGRAM [--slot N]
`;

const faults = {
  cut: (cluster: Cluster, site: string) => cluster.internet.site(site).link.cut(),
  'black-hole': (cluster: Cluster, site: string) => cluster.internet.site(site).link.blackHole(),
  reject: (cluster: Cluster, site: string) => cluster.internet.site(site).link.reject(),
  slow: (cluster: Cluster, site: string) => cluster.internet.site(site).link.slow(1024),
  restore: (cluster: Cluster, site: string) => cluster.internet.site(site).link.restore(),
};

interface Words {
  readonly slot: Slot | undefined;
  readonly nodes: number;
  readonly layers: readonly number[] | undefined;
  /** After the verb. */
  readonly words: readonly string[];
  /** After `--`. */
  readonly rest: readonly string[];
}

/** A verb that gives a number ends the program with that exit code. */
const verbs: Record<string, (given: Words) => unknown> = {
  up: ({ slot, nodes }) => up(slot, nodes),
  down: ({ slot }) => stopCluster(slot ?? 0),
  status: () => {
    print(allSlots.map(statusLine).join('\n'));
  },
  kubectl: (given) => handOverTo(attach(given), 'kubernetes', 'kubectl', given.rest),
  helm: (given) => handOverTo(attach(given), 'helm', 'helm', given.rest),
  exec: (given) => {
    const cluster = attach(given);
    return handOver(cluster, [...cluster.machine(given.words[0] ?? 'node-1').enter(), ...given.rest]);
  },
  fault: (given) => {
    const [site = '', kind = ''] = given.words;
    if (!(kind in faults)) throw new RangeError(`a fault is one of ${Object.keys(faults).join(', ')}`);
    return faults[kind as keyof typeof faults](attach(given), site);
  },
  push: async (given) => {
    const [site = '', repository = '', tag = ''] = given.words;
    const { layers } = given;
    const pushed = await attach(given).pushImage({ site, repository, tag, ...(layers ? { layers } : {}) });
    print(JSON.stringify(pushed, undefined, 2));
  },
  programs: (given) => {
    print(attach(given).programs.names.join('\n'));
  },
  freeze: (given) => {
    attach(given).programs.freeze(given.words[0] ?? '');
  },
  thaw: (given) => {
    attach(given).programs.thaw(given.words[0] ?? '');
  },
  stop: (given) => attach(given).programs.stop(given.words[0] ?? ''),
  restart: (given) => attach(given).programs.restart(given.words[0] ?? ''),
  help: () => {
    print(help);
  },
};

async function main(argv: readonly string[]): Promise<number> {
  const split = argv.indexOf('--');
  const { positionals, values } = parseArgs({
    args: split < 0 ? [...argv] : argv.slice(0, split),
    allowPositionals: true,
    options: {
      slot: { type: 'string' },
      nodes: { type: 'string', default: '2' },
      layer: { type: 'string', multiple: true },
    },
  });
  const [name = 'help', ...words] = positionals;
  const verb = verbs[name];
  if (!verb) throw new RangeError(`there is no verb "${name}"; see \`node test/cluster/cli.ts help\``);
  const result = await verb({
    slot: values.slot === undefined ? undefined : parseSlot(values.slot),
    nodes: Number(values.nodes),
    layers: values.layer?.map(Number),
    words,
    rest: split < 0 ? [] : argv.slice(split + 1),
  });
  return typeof result === 'number' ? result : 0;
}

function attach({ slot }: Words): Cluster {
  return Cluster.attach(slot ?? firstRunning());
}

async function handOverTo(
  cluster: Cluster,
  tool: string,
  program: string,
  args: readonly string[],
): Promise<number> {
  return await handOver(cluster, [join(cluster.tool(tool), program), ...args]);
}

async function up(slot: Slot | undefined, nodes: number): Promise<void> {
  const started = performance.now();
  const cluster = await startCluster({ keep: true, nodes, ...(slot === undefined ? {} : { slot }) });
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  const lines = [
    `slot ${cluster.plan.slot}: ${nodes} nodes ready in ${seconds} s`,
    ...cluster.internet.siteNames.map((name) => `registry ${name}: ${cluster.internet.site(name).registry}`),
    `export KUBECONFIG=${cluster.kubeconfig}`,
    `export PATH=${cluster.tool('kubernetes')}:${cluster.tool('helm')}:$PATH`,
  ];
  print(lines.join('\n'));
}

function statusLine(slot: Slot): string {
  const plan = planOf(slot);
  const state = readState(plan.folder);
  if (!isTaken(plan))
    return `slot ${slot}: free${state ? ' (a crashed run left something, which the next start removes)' : ''}`;
  return `slot ${slot}: ${state?.phase ?? 'unknown'}, ${state?.nodes.length ?? 0} nodes, ${join(plan.folder, 'pki/admin.kubeconfig')}`;
}

function firstRunning(): Slot {
  const slot = allSlots.find((candidate) => findLab(planOf(candidate)));
  if (slot === undefined) throw new Error('no cluster runs; start one with `node test/cluster/cli.ts up`');
  return slot;
}

async function handOver(cluster: Cluster, [program = '', ...args]: readonly string[]): Promise<number> {
  const env = { ...process.env, KUBECONFIG: cluster.kubeconfig };
  const child = spawn(program, args, { stdio: 'inherit', env });
  const [code] = (await once(child, 'close')) as [number | null];
  return code ?? 1;
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  // What the user can put right is one sentence; all else is ours to find, with its stack.
  const expected = [PrerequisiteError, GoMissingError, SlotsTakenError, RangeError].some(
    (kind) => error instanceof kind,
  );
  process.stderr.write(
    `${expected || !(error instanceof Error) ? String(error) : (error.stack ?? error.message)}\n`,
  );
  process.exitCode = 1;
}
