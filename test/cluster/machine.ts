/**
 * A machine of the cluster: its own network, mounts, processes and host name, held by a first process.
 * When that one is killed, the kernel ends the machine's other processes and removes its mounts and links.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  type Logs,
  type Output,
  type ProcessIdentity,
  run,
  type RunOptions,
  startDetached,
} from './command.ts';

export interface MachineOptions {
  readonly name: string;
  /** Holds what the machine sees as /var/lib and /var/log, and the logs of its programs. */
  readonly folder: string;
  /** Path of the first process: it waits, and reaps the others. */
  readonly pausePath: string;
  readonly nameServer: string;
  readonly address: string;
}

/**
 * Kernel settings that the kubelet writes and that no namespace isolates: each machine gets a file in place
 * of each, so that the real ones stay as they are.
 */
const kubeletSettings = {
  'vm/overcommit_memory': '1',
  'vm/panic_on_oom': '0',
  'kernel/panic': '10',
  'kernel/panic_on_oops': '1',
  'kernel/keys/root_maxkeys': '1000000',
  'kernel/keys/root_maxbytes': '25000000',
};

export class Machine {
  readonly name: string;
  readonly folder: string;
  readonly first: ProcessIdentity;

  constructor(name: string, folder: string, first: ProcessIdentity) {
    this.name = name;
    this.folder = folder;
    this.first = first;
  }

  /** Starts a machine inside `outer`, and ends with it. */
  static async start(outer: Machine, options: MachineOptions): Promise<Machine> {
    const { name, folder, pausePath } = options;
    for (const part of ['var-lib', 'var-log', 'etc', 'sysctl'])
      mkdirSync(join(folder, part), { recursive: true });
    writeFileSync(
      join(folder, 'etc/resolv.conf'),
      `nameserver ${options.nameServer}\noptions timeout:2 attempts:2\n`,
    );
    writeFileSync(
      join(folder, 'etc/hosts'),
      `127.0.0.1 localhost\n::1 localhost\n${options.address} ${name}\n`,
    );
    const log = join(folder, 'machine.log');
    const first = await startDetached([...outer.enter(), ...newNamespaces, pausePath, 'machine', name], {
      stdout: log,
      stderr: log,
    });
    const machine = new Machine(name, folder, first);
    await machine.shell(setUpScript(folder, name));
    return machine;
  }

  /** A command line that runs the command after it in this machine. */
  enter(): string[] {
    return ['nsenter', '--target', String(this.first.pid), '--net', '--mount', '--pid', '--uts', '--'];
  }

  /** Runs a command in the machine to its end. */
  async run(argv: readonly string[], options?: RunOptions): Promise<Output> {
    return await run([...this.enter(), ...argv], options);
  }

  /** Runs a script with `sh`; the first failing command ends it. */
  async shell(script: string, options?: RunOptions): Promise<Output> {
    return await this.run(['sh', '-euc', script], options);
  }

  /**
   * Runs a command in only the machine's network, with the process ids outside (`ip … netns PID` needs
   * those).
   */
  async runInNetwork(argv: readonly string[], options?: RunOptions): Promise<Output> {
    return await run(['nsenter', `--net=/proc/${this.first.pid}/ns/net`, '--', ...argv], options);
  }

  /** Starts a program in the background; its output is appended to its log. */
  async start(
    name: string,
    argv: readonly string[],
    env?: Readonly<Record<string, string>>,
  ): Promise<ProcessIdentity> {
    return await startDetached([...this.enter(), ...argv], this.logs(name), env);
  }

  logs(name: string): Logs {
    return { stdout: join(this.folder, `${name}.out.log`), stderr: join(this.folder, `${name}.log`) };
  }
}

export const newNamespaces = ['unshare', '--fork', '--pid', '--mount', '--net', '--uts', '--mount-proc'];

function setUpScript(folder: string, name: string): string {
  const ownFiles = Object.entries(kubeletSettings).map(([path, value]) => {
    const file = join(folder, 'sysctl', path.replaceAll('/', '.'));
    return `[ ! -e /proc/sys/${path} ] || { echo ${value} > ${file}; mount --bind ${file} /proc/sys/${path}; }`;
  });
  return [
    'mount --make-rshared /',
    'mount -t tmpfs -o mode=755 tmpfs /run',
    `mount --bind ${folder}/var-lib /var/lib`,
    `mount --bind ${folder}/var-log /var/log`,
    // The file may link into /run, which is empty now.
    ...['resolv.conf', 'hosts'].map(
      (file) =>
        `real=$(readlink -m /etc/${file}); mkdir -p "$(dirname "$real")"; [ -e "$real" ] || : > "$real"; ` +
        `mount --bind ${folder}/etc/${file} "$real"`,
    ),
    ...ownFiles,
    `hostname ${name}`,
    'ip link set lo up',
  ].join('\n');
}
