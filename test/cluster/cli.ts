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
import { SlotsTakenError, stopCluster } from './take-slot.ts';

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
  cut: (cluster: Cluster, site: string) => cluster.site(site).link.cut(),
  'black-hole': (cluster: Cluster, site: string) => cluster.site(site).link.blackHole(),
  reject: (cluster: Cluster, site: string) => cluster.site(site).link.reject(),
  slow: (cluster: Cluster, site: string) => cluster.site(site).link.slow(1024),
  restore: (cluster: Cluster, site: string) => cluster.site(site).link.restore(),
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
  const rest = split < 0 ? [] : argv.slice(split + 1);
  const [verb = 'help', ...words] = positionals;
  const slot = values.slot === undefined ? undefined : parseSlot(values.slot);
  const attach = (): Cluster => Cluster.attach(slot ?? firstRunning());
  switch (verb) {
    case 'up':
      await up(slot, Number(values.nodes));
      return 0;
    case 'down':
      await stopCluster(slot ?? 0);
      return 0;
    case 'status':
      print(allSlots.map(statusLine).join('\n'));
      return 0;
    case 'kubectl':
      return await handOver(attach(), join(attach().tool('kubernetes'), 'kubectl'), rest);
    case 'helm':
      return await handOver(attach(), join(attach().tool('helm'), 'helm'), rest);
    case 'exec': {
      const [program = 'sh', ...args] = [
        ...attach()
          .machine(words[0] ?? 'node-1')
          .enter(),
        ...rest,
      ];
      return await handOver(attach(), program, args);
    }
    case 'fault': {
      const [site = '', kind = ''] = words;
      if (!(kind in faults)) throw new RangeError(`a fault is one of ${Object.keys(faults).join(', ')}`);
      await faults[kind as keyof typeof faults](attach(), site);
      return 0;
    }
    case 'push': {
      const [site = '', repository = '', tag = ''] = words;
      const layers = values.layer?.map(Number);
      print(
        JSON.stringify(
          await attach().pushImage({ site, repository, tag, ...(layers ? { layers } : {}) }),
          undefined,
          2,
        ),
      );
      return 0;
    }
    case 'programs':
      print(attach().programs.join('\n'));
      return 0;
    case 'freeze':
      attach().freezeProgram(words[0] ?? '');
      return 0;
    case 'thaw':
      attach().thawProgram(words[0] ?? '');
      return 0;
    case 'stop':
      await attach().stopProgram(words[0] ?? '');
      return 0;
    case 'restart':
      await attach().restartProgram(words[0] ?? '');
      return 0;
    default:
      print(help);
      return verb === 'help' ? 0 : 2;
  }
}

async function up(slot: Slot | undefined, nodes: number): Promise<void> {
  const started = performance.now();
  const cluster = await startCluster({ keep: true, nodes, ...(slot === undefined ? {} : { slot }) });
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  print(`slot ${cluster.plan.slot}: ${nodes} nodes ready in ${seconds} s`);
  for (const name of cluster.siteNames) print(`registry ${name}: ${cluster.site(name).registry}`);
  print(
    `export KUBECONFIG=${cluster.kubeconfig}\nexport PATH=${cluster.tool('kubernetes')}:${cluster.tool('helm')}:$PATH`,
  );
}

function statusLine(slot: Slot): string {
  const plan = planOf(slot);
  const state = readState(plan.folder);
  if (!findLab(plan)) return `slot ${slot}: free${state ? ' (with the rest of a crashed run)' : ''}`;
  return `slot ${slot}: ${state?.phase ?? 'unknown'}, ${state?.nodes.length ?? 0} nodes, ${join(plan.folder, 'pki/admin.kubeconfig')}`;
}

function firstRunning(): Slot {
  const slot = allSlots.find((candidate) => findLab(planOf(candidate)));
  if (slot === undefined) throw new Error('no cluster runs; start one with `node test/cluster/cli.ts up`');
  return slot;
}

async function handOver(cluster: Cluster, program: string, args: readonly string[]): Promise<number> {
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
