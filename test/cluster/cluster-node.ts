/** A node of a running cluster: commands on it, and its image store as the kubelet would use it. */
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { type Output, run, type RunOptions } from './command.ts';
import type { Machine } from './machine.ts';
import { containerdSocket, type NodePlan } from './node.ts';

/** Where the node finds its programs. */
export interface NodeTools {
  readonly cri: string;
  readonly containerd: string;
}

export interface Pulled {
  /** The runtime's id of the image: the digest of its config. */
  readonly imageRef: string;
  readonly milliseconds: number;
}

export interface NodeImage {
  readonly id: string;
  readonly repo_tags?: readonly string[];
  readonly repo_digests?: readonly string[];
}

export class ClusterNode {
  readonly name: string;
  readonly address: string;
  readonly machine: Machine;
  readonly #tools: NodeTools;

  constructor(plan: NodePlan, machine: Machine, tools: NodeTools) {
    this.name = plan.name;
    this.address = plan.address;
    this.machine = machine;
    this.#tools = tools;
  }

  /** Runs a command on the node to its end. */
  async exec(argv: readonly string[], options?: RunOptions): Promise<Output> {
    return await this.machine.run(argv, options);
  }

  /**
   * Pulls through the CRI, as the kubelet does for a pod.
   * @throws {CommandError} with the runtime's message when the pull fails.
   */
  async pull(
    reference: string,
    options: RunOptions & {
      readonly credentials?: { readonly username: string; readonly password: string };
    } = {},
  ): Promise<Pulled> {
    const { credentials, ...rest } = options;
    const env = credentials ? { CRI_USERNAME: credentials.username, CRI_PASSWORD: credentials.password } : {};
    return JSON.parse(await this.#cri(['pull', reference], { ...rest, env })) as Pulled;
  }

  async images(): Promise<NodeImage[]> {
    return (JSON.parse(await this.#cri(['images'])) as NodeImage[] | null) ?? [];
  }

  /** Removes an image; does nothing when the node does not have it. */
  async removeImage(reference: string): Promise<void> {
    await this.#cri(['remove', reference]);
  }

  /** Imports an OCI layout, as a folder or an archive (path or bytes), without any registry. */
  async loadImage(layout: string | Uint8Array, name?: string): Promise<void> {
    const named = name === undefined ? [] : ['--index-name', name];
    const load = [this.#ctr, '-a', containerdSocket, '-n', 'k8s.io', 'images', 'import', ...named, '-'];
    if (typeof layout !== 'string') {
      await this.machine.run(load, { stdin: layout });
      return;
    }
    const give = statSync(layout).isDirectory() ? 'tar -C "$source" -cf - .' : 'cat "$source"';
    const script = `source=$1; shift; ${give} | "$@"`;
    await run(['sh', '-euc', script, 'load', layout, ...this.machine.enter(), ...load]);
  }

  /** Whether an image of that name and digest was imported. */
  async hasImage(name: string, digest: string): Promise<boolean> {
    const list = [this.#ctr, '-a', containerdSocket, '-n', 'k8s.io', 'images', 'ls', '--quiet'];
    return (await this.machine.run([...list, `name==${name},target.digest==${digest}`])).stdout.trim() !== '';
  }

  /** The first process of each running container of a pod, by container; process ids as on the node. */
  async containerProcesses(namespace: string, pod: string): Promise<{ container: string; pid: number }[]> {
    return JSON.parse(await this.#cri(['pids', `${namespace}/${pod}`])) as {
      container: string;
      pid: number;
    }[];
  }

  /**
   * Signals every process of a container, or those whose command line contains `matching`.
   * SIGSTOP freezes it, SIGCONT resumes it, SIGKILL ends it.
   * @throws {Error} when no such process runs.
   */
  async signalContainer(
    target: {
      readonly namespace: string;
      readonly pod: string;
      readonly container?: string;
      readonly matching?: string;
    },
    signal: 'STOP' | 'CONT' | 'KILL' | 'TERM',
  ): Promise<void> {
    const running = await this.containerProcesses(target.namespace, target.pod);
    const first = running.find(({ container }) => container === (target.container ?? container));
    if (!first)
      throw new Error(`no running container ${target.container ?? ''} in ${target.namespace}/${target.pod}`);
    const { stdout } = await this.machine.run([
      'sh',
      '-uc',
      signalScript,
      'signal',
      String(first.pid),
      signal,
      target.matching ?? '',
    ]);
    if (stdout.trim() === '')
      throw new Error(`no process "${target.matching ?? ''}" in ${target.namespace}/${target.pod}`);
  }

  async #cri(argv: readonly string[], options?: RunOptions): Promise<string> {
    const program = join(this.#tools.cri, 'cri');
    return (await this.machine.run([program, '-endpoint', `unix://${containerdSocket}`, ...argv], options))
      .stdout;
  }

  get #ctr(): string {
    return join(this.#tools.containerd, 'ctr');
  }
}

/** A container's processes are those in its process id namespace. Prints the ids it signalled. */
const signalScript = `
space=$(readlink "/proc/$1/ns/pid")
for folder in /proc/[0-9]*; do
  [ "$(readlink "$folder/ns/pid" 2>/dev/null)" = "$space" ] || continue
  case "$(tr '\\0' ' ' < "$folder/cmdline" 2>/dev/null)" in
    *"$3"*) kill "-$2" "\${folder#/proc/}" && echo "\${folder#/proc/}" ;;
  esac
done
true
`;
