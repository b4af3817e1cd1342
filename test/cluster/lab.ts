/**
 * The lab: the outermost machine, and the router between nodes, "internet" and this machine. All others run
 * in it and end with it.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { identify, type ProcessIdentity, run, signalProcess, startDetached, waitForEnd } from './command.ts';
import { cgroupFolders, removeCgroups } from './cgroups.ts';
import { Machine, newNamespaces } from './machine.ts';
import type { Plan } from './slot.ts';

/** Starts the lab of a slot that is free. */
export async function startLab(plan: Plan, pausePath: string): Promise<Machine> {
  mkdirSync(plan.folder, { recursive: true });
  const log = join(plan.folder, 'lab.log');
  const first = await startDetached([...newNamespaces, pausePath, 'lab', plan.name], {
    stdout: log,
    stderr: log,
  });
  const lab = new Machine('lab', plan.folder, first);
  await lab.shell(
    [
      'ip link set lo up',
      'ip link add lan type bridge forward_delay 0',
      `ip address add ${plan.router}/24 dev lan`,
      'ip link set lan up',
      'ip link add internet type bridge forward_delay 0',
      `ip address add ${plan.nameServer}/24 dev internet`,
      'ip link set internet up',
      'echo 1 > /proc/sys/net/ipv4/ip_forward',
    ].join('\n'),
  );
  await lab.runInNetwork([
    'ip',
    'link',
    'add',
    'host',
    'type',
    'veth',
    'peer',
    'name',
    plan.name,
    'netns',
    String(process.pid),
  ]);
  await lab.runInNetwork(['ip', 'link', 'set', 'host', 'master', 'lan', 'up']);
  await run(['ip', 'address', 'add', `${plan.host}/24`, 'dev', plan.name]);
  await run(['ip', 'link', 'set', plan.name, 'up']);
  for (const network of [`${plan.internet}.0/24`, `${plan.pods}.0.0/16`]) {
    await run(['ip', 'route', 'add', network, 'via', plan.router]);
  }
  return lab;
}

/** The first process of the lab that holds the slot, found by its arguments; undefined when there is none. */
export function findLab(plan: Plan): ProcessIdentity | undefined {
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry)) continue;
    const [program = '', ...args] = commandLine(entry);
    if (program.endsWith('/pause') && args[0] === 'lab' && args[1] === plan.name)
      return identify(Number(entry));
  }
  return undefined;
}

function commandLine(pid: string): string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
  } catch {
    return [];
  }
}

/** Ends whatever holds the slot and removes everything it made. Does nothing if the slot is empty. */
export async function clearSlot(plan: Plan): Promise<void> {
  const first = findLab(plan);
  if (first) {
    signalProcess(first, 'SIGKILL');
    await waitForEnd(first, 30_000);
  }
  await gone('processes', () => wrappersOf(plan).length === 0);
  await removeCgroups(plan.name);
  await rm(plan.folder, { recursive: true, force: true });
  // The kernel removes the link to this machine shortly after the lab's network.
  await gone('link', () => !existsSync(linkFile(plan)));
}

/** Describes what is left of the slot's cluster; empty after it was stopped. */
export function leftovers(plan: Plan): string[] {
  const lab = findLab(plan);
  const mounts = readFileSync('/proc/mounts', 'utf8').split('\n');
  return [
    ...(lab ? [`process ${lab.pid}`] : []),
    ...wrappersOf(plan).map((pid) => `process ${pid}`),
    ...cgroupFolders(plan.name).map((folder) => `cgroup ${folder}`),
    ...mounts.filter((mount) => mount.includes(plan.folder)).map((mount) => `mount ${mount}`),
    ...[plan.folder, linkFile(plan)].filter((path) => existsSync(path)),
  ];
}

function linkFile(plan: Plan): string {
  return `/sys/class/net/${plan.name}`;
}

/** The processes outside the lab that wait for one inside; they end just after it. */
function wrappersOf(plan: Plan): number[] {
  return readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .filter((pid) => {
      const [program = '', ...args] = commandLine(pid);
      const ours = args.some(
        (word, index) =>
          word.includes(`${plan.folder}/`) || (word === plan.name && args[index - 1] === 'lab'),
      );
      return ours && (program === 'nsenter' || program === 'unshare');
    })
    .map(Number);
}

async function gone(what: string, isGone: () => boolean): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (!isGone()) {
    if (performance.now() > deadline) throw new Error(`an ended cluster's ${what} did not go away`);
    await pause(20);
  }
}
