/** The programs of a running cluster: each can be frozen, ended and started again by its name. */
import { readFileSync } from 'node:fs';
import { UserError } from '../../build/program.ts';
import { isAlive, signalProcess, waitForEnd } from './command.ts';
import type { Machine } from './machine.ts';
import type { ProgramRecord, StateFile } from './state.ts';

export class Programs {
  readonly #state: StateFile;
  readonly #machine: (name: string) => Machine;

  constructor(state: StateFile, machine: (name: string) => Machine) {
    this.#state = state;
    this.#machine = machine;
  }

  /** `etcd`, `kube-apiserver`, `kubelet@node-1`, `containerd@node-2`, `coredns`, `site-plain`, … */
  get names(): string[] {
    return Object.keys(this.#state.current.programs);
  }

  /** Starts a program on a machine and records how. */
  async start(
    name: string,
    machine: Machine,
    argv: readonly string[],
    env: Readonly<Record<string, string>> = {},
  ): Promise<void> {
    const process = await machine.start(name, argv, env);
    this.#state.update((state) => {
      state.programs[name] = { machine: machine.name, argv, env, process };
    });
  }

  /** Ends a program, by default with SIGTERM, and waits until it is gone; does nothing if it is already. */
  async stop(name: string, signal: 'SIGTERM' | 'SIGKILL' = 'SIGTERM'): Promise<void> {
    const { process } = this.#record(name);
    signalProcess(process, signal);
    signalProcess(process, 'SIGCONT');
    await waitForEnd(process, 30_000);
  }

  /**
   * Starts a program again as it was, ending it first if it still runs. Nothing else restarts programs: a
   * kubelet that finds no containerd exits for good.
   */
  async restart(name: string): Promise<void> {
    await this.stop(name);
    const { machine, argv, env } = this.#record(name);
    await this.start(name, this.#machine(machine), argv, env);
  }

  /** Freezes a program: it keeps its connections open, and answers nothing. */
  freeze(name: string): void {
    signalProcess(this.#record(name).process, 'SIGSTOP');
  }

  thaw(name: string): void {
    signalProcess(this.#record(name).process, 'SIGCONT');
  }

  /** The last output of the programs that are gone, as text for a person. */
  lastWords(): string[] {
    return Object.entries(this.#state.current.programs)
      .filter(([, { process }]) => !isAlive(process))
      .map(([name, { machine }]) => {
        const log = readFileSync(this.#machine(machine).logs(name).stderr, 'utf8');
        return `${name} is gone:\n${log.slice(-1500)}`;
      });
  }

  #record(name: string): ProgramRecord {
    const record = this.#state.current.programs[name];
    if (!record) throw new UserError(`the cluster has no program "${name}"; it has ${this.names.join(', ')}`);
    return record;
  }
}
