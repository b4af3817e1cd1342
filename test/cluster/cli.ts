/** A cluster by hand: `./cluster help`. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { requirePrerequisites } from '../../build/prerequisites.ts';
import { runProgram, UserError } from '../../build/program.ts';
import { ProgressLine } from '../../build/progress-line.ts';
import { Cluster } from './cluster.ts';
import { type CommandLine, type Fault, parseCommandLine, parseFault, type Verb } from './command-line.ts';
import { interruptible } from '../../build/interrupt.ts';
import { findLab } from './lab.ts';
import type { Link } from './network.ts';
import { selfCheck } from './self-check.ts';
import { allSlots, planOf, type Slot } from './slot.ts';
import { startCluster } from './start.ts';
import { readState } from './state.ts';
import { isTaken, stopCluster } from './take-slot.ts';

const help = `A real Kubernetes cluster on this machine.

  ./cluster up [--slot N] [--nodes N]    start one that stays, and print how to use it
  ./cluster down [--slot N]              end it and remove everything it made (default: slot 0)
  ./cluster status                       what runs in each slot
  ./cluster kubectl|helm -- …            run the client against it
  ./cluster exec NODE -- …               run a command on a node, such as node-1
  ./cluster fault SITE FAULT             take an upstream registry (plain, example) away, and back:
                                         cut, black-hole, reject, slow, restore
  ./cluster push SITE REPOSITORY TAG [--layer BYTES …]
                                         make a test image and push it to an upstream registry
  ./cluster programs                     list the cluster's programs
  ./cluster freeze|thaw|stop|restart PROGRAM
  ./cluster self-check [--slot N]        start a cluster, use every part of the harness once, end it

Each takes --slot N (0 to 5). Without it, \`up\` and \`self-check\` take the first free slot, and all others
but \`down\` use the first cluster that runs.
`;

const faults: Record<Fault, (link: Link) => Promise<void>> = {
  cut: (link) => link.cut(),
  'black-hole': (link) => link.blackHole(),
  reject: (link) => link.reject(),
  slow: (link) => link.slow(1024),
  restore: (link) => link.restore(),
};

/** A verb that gives a number ends the program with that exit code. */
type Run = (given: CommandLine) => Promise<number | undefined>;

const runs: Record<Verb, Run> = {
  up,
  down,
  status,
  kubectl: (given) => client(given, 'kubernetes', 'kubectl'),
  helm: (given) => client(given, 'helm', 'helm'),
  exec,
  fault,
  push,
  programs,
  freeze: (given) => signalProgram(given, 'freeze'),
  thaw: (given) => signalProgram(given, 'thaw'),
  stop: (given) => signalProgram(given, 'stop'),
  restart: (given) => signalProgram(given, 'restart'),
  'self-check': async ({ slot }) => {
    await selfCheck(slot);
    return undefined;
  },
};

async function main(argv: readonly string[]): Promise<number | undefined> {
  if (argv.length === 0) {
    print(help.trimEnd());
    return undefined;
  }
  const given = parseCommandLine(argv);
  requirePrerequisites('linux', ...(given.verb === 'status' ? [] : (['root'] as const)));
  return await runs[given.verb](given);
}

async function up({ slot, nodes }: CommandLine): Promise<undefined> {
  requirePrerequisites('go');
  const started = performance.now();
  const progress = new ProgressLine(process.stderr);
  const wanted = { keep: true, nodes, progress, ...(slot === undefined ? {} : { slot }) };
  const cluster = await interruptible((signal) => startCluster({ ...wanted, signal }));
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  const lines = [
    `slot ${cluster.plan.slot}: ${nodes} nodes ready in ${seconds} s`,
    ...cluster.internet.siteNames.map((name) => `registry ${name}: ${cluster.internet.site(name).registry}`),
    `export KUBECONFIG=${cluster.kubeconfig}`,
    `export PATH=${cluster.tool('kubernetes')}:${cluster.tool('helm')}:$PATH`,
  ];
  print(lines.join('\n'));
}

async function down({ slot = 0 }: CommandLine): Promise<undefined> {
  const ran = findLab(planOf(slot)) !== undefined;
  await stopCluster(slot);
  print(ran ? `slot ${slot}: the cluster is gone` : `slot ${slot}: no cluster was running`);
}

function status(): Promise<undefined> {
  print(allSlots.map(statusLine).join('\n'));
  return Promise.resolve(undefined);
}

function statusLine(slot: Slot): string {
  const plan = planOf(slot);
  const state = readState(plan.folder);
  if (!isTaken(plan))
    return `slot ${slot}: free${state ? ' (a crashed run left something, which the next start removes)' : ''}`;
  return `slot ${slot}: ${state?.phase ?? 'unknown'}, ${state?.nodes.length ?? 0} nodes, ${join(plan.folder, 'pki/admin.kubeconfig')}`;
}

async function client(given: CommandLine, tool: string, program: string): Promise<number> {
  const cluster = attach(given);
  return await handOver(cluster, [join(cluster.tool(tool), program), ...given.command]);
}

async function exec(given: CommandLine): Promise<number> {
  const cluster = attach(given);
  const [name = ''] = given.words;
  const node = cluster.nodes.find((candidate) => candidate.name === name);
  if (!node) {
    const names = cluster.nodes.map((candidate) => candidate.name);
    throw new UserError(`the cluster has no node "${name}"; it has ${names.join(', ')}`);
  }
  return await handOver(cluster, [...node.machine.enter(), ...given.command]);
}

async function fault(given: CommandLine): Promise<undefined> {
  const [site = '', kind = ''] = given.words;
  const change = faults[parseFault(kind)];
  await change(attach(given).internet.site(site).link);
}

async function push(given: CommandLine): Promise<undefined> {
  const [site = '', repository = '', tag = ''] = given.words;
  const { layers } = given;
  const pushed = await attach(given).pushImage({ site, repository, tag, ...(layers ? { layers } : {}) });
  print(JSON.stringify(pushed, undefined, 2));
}

function programs(given: CommandLine): Promise<undefined> {
  print(attach(given).programs.names.join('\n'));
  return Promise.resolve(undefined);
}

async function signalProgram(
  given: CommandLine,
  action: 'freeze' | 'thaw' | 'stop' | 'restart',
): Promise<undefined> {
  const [name = ''] = given.words;
  await attach(given).programs[action](name);
}

function attach({ slot }: CommandLine): Cluster {
  return Cluster.attach(slot ?? firstRunning());
}

function firstRunning(): Slot {
  const slot = allSlots.find((candidate) => findLab(planOf(candidate)));
  if (slot === undefined) throw new UserError('no cluster is running: `./cluster up` starts one');
  return slot;
}

/** Runs a program with our input and output; gives its exit code. */
async function handOver(cluster: Cluster, [program = '', ...args]: readonly string[]): Promise<number> {
  const env = { ...process.env, KUBECONFIG: cluster.kubeconfig };
  const child = spawn(program, args, { stdio: 'inherit', env });
  const [code] = (await once(child, 'close')) as [number | null];
  return code ?? 1;
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

await runProgram(help, main);
