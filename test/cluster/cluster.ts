/**
 * A running cluster, as tests, demo and benchmarks use it. `startCluster` makes one, `Cluster.attach` finds
 * one.
 */
import { readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { UserError } from '../../build/program.ts';
import { KubeApi, type Place } from './api.ts';
import { ClusterNode } from './cluster-node.ts';
import { type Output, run, type RunOptions } from './command.ts';
import { buildImage, type ImageRequest, type Platform } from './images.ts';
import { Internet } from './internet.ts';
import { clearSlot, findLab } from './lab.ts';
import { Machine } from './machine.ts';
import { planNode } from './node.ts';
import { Programs } from './programs.ts';
import { type Plan, planOf, type Slot } from './slot.ts';
import { readState, StateFile } from './state.ts';
import { buildTool } from './tools.ts';
import { waitFor, type WaitOptions } from './wait.ts';

export interface PushRequest {
  readonly site: string;
  readonly repository: string;
  readonly tag: string;
  /** Default: both. */
  readonly platforms?: readonly Platform[];
  /** Bytes of each layer: multiples of 512, at least 2048. Default: one of 64 KiB. */
  readonly layers?: readonly number[];
  /** Default: repository and tag. */
  readonly seed?: string;
  readonly signal?: AbortSignal;
}

export interface PushedImage {
  /** By tag. */
  readonly reference: string;
  readonly repository: string;
  /** Of the index. */
  readonly digest: string;
  /** The digest of the platform's manifest, and the bytes of manifest, config and layers together. */
  readonly platforms: Readonly<
    Partial<Record<Platform, { readonly digest: string; readonly bytes: number }>>
  >;
}

export class Cluster {
  readonly plan: Plan;
  readonly lab: Machine;
  readonly programs: Programs;
  readonly internet: Internet;
  readonly state: StateFile;
  #connected: KubeApi | undefined;

  constructor(plan: Plan, state: StateFile) {
    this.plan = plan;
    this.state = state;
    this.lab = this.machine('lab');
    const machine = (name: string): Machine => this.machine(name);
    this.programs = new Programs(state, machine);
    const inside = (tool: string): string => this.inside(tool);
    this.internet = new Internet({ plan, state, lab: this.lab, programs: this.programs, machine, inside });
  }

  /** @throws {UserError} when no cluster runs in the slot. */
  static attach(slot: Slot): Cluster {
    const plan = planOf(slot);
    const state = readState(plan.folder);
    if (!state || !findLab(plan))
      throw new UserError(
        `no cluster is running in slot ${slot}: \`./cluster up --slot ${slot}\` starts one`,
      );
    return new Cluster(plan, new StateFile(plan.folder, state));
  }

  /** For `export KUBECONFIG=…`. */
  get kubeconfig(): string {
    return join(this.plan.folder, 'pki/admin.kubeconfig');
  }

  /** Folder of a tool's programs, as this machine sees it. */
  tool(name: string): string {
    const folder = this.state.current.tools[name];
    if (folder === undefined) throw new Error(`the cluster was started without the tool ${name}`);
    return folder;
  }

  /** The same, as the cluster's machines see it. */
  inside(name: string): string {
    return join(this.plan.folder, 'tools', basename(this.tool(name)));
  }

  get nodes(): ClusterNode[] {
    const tools = { cri: this.inside('cri'), containerd: this.inside('containerd') };
    return this.state.current.nodes.map((_, index) => {
      const node = planNode(this.plan, index + 1);
      return new ClusterNode(node, this.machine(node.name), tools);
    });
  }

  /** Nodes are counted from 1. */
  node(index: number): ClusterNode {
    const node = this.nodes[index - 1];
    if (!node) throw new RangeError(`the cluster has ${this.nodes.length} nodes, no node ${index}`);
    return node;
  }

  machine(name: string): Machine {
    const first = this.state.current.machines[name];
    if (!first)
      throw new Error(
        `the cluster has no machine "${name}"; it has ${Object.keys(this.state.current.machines).join(', ')}`,
      );
    const folder = name.startsWith('up-') ? join('sites', name.slice('up-'.length)) : name;
    return new Machine(name, name === 'lab' ? this.plan.folder : join(this.plan.folder, folder), first);
  }

  /** The Kubernetes API. */
  get api(): KubeApi {
    return (this.#connected ??= new KubeApi(this.kubeconfig));
  }

  async kubectl(args: readonly string[], options: RunOptions = {}): Promise<Output> {
    return await this.#client(join(this.tool('kubernetes'), 'kubectl'), args, options);
  }

  /** As {@link KubeApi.read}. */
  async read<T>(type: string, place: Place = {}, signal?: AbortSignal): Promise<T> {
    return await this.api.read<T>(type, place, signal);
  }

  /** Applies objects with server-side apply, one after the other. */
  async apply(objects: object | readonly object[], signal?: AbortSignal): Promise<void> {
    const items = Array.isArray(objects) ? (objects as object[]) : [objects];
    for (const item of items) await this.api.apply(item, signal);
  }

  async helm(args: readonly string[], options: RunOptions = {}): Promise<Output> {
    return await this.#client(join(this.tool('helm'), 'helm'), args, options);
  }

  /** As {@link waitFor}; its error shows the pods, the last events and which programs are gone. */
  async waitFor<T>(
    what: string,
    condition: () => Promise<T | undefined | false>,
    options: WaitOptions,
  ): Promise<T> {
    return await waitFor(what, condition, { dump: () => this.describe(), ...options });
  }

  /** Makes an image and pushes it to a site, over the site's link. */
  async pushImage(request: PushRequest): Promise<PushedImage> {
    const platforms = request.platforms ?? ['linux/amd64', 'linux/arm64'];
    const image = buildImage({
      seed: request.seed ?? `${request.repository}:${request.tag}`,
      platforms,
      layers: request.layers ?? [64 * 1024],
      program: await testPrograms(request.signal),
    });
    const site = this.internet.site(request.site);
    const client = site.client();
    try {
      await client.push(request.repository, request.tag, image, request.signal);
    } finally {
      await client.close();
    }
    const sizes = image.images.map(({ platform, manifest, blobs }) => {
      const bytes = blobs.reduce((sum, { size }) => sum + size, manifest.size);
      return [platform, { digest: manifest.digest, bytes }] as const;
    });
    const repository = `${site.registry}/${request.repository}`;
    return {
      reference: `${repository}:${request.tag}`,
      repository,
      digest: image.index.digest,
      platforms: Object.fromEntries(sizes),
    };
  }

  /**
   * The working set of a container in bytes, as the kubelet last measured it; undefined if it has not yet.
   */
  async workingSet(namespace: string, pod: string, container: string): Promise<number | undefined> {
    const found = await this.read<{ spec: { nodeName: string } }>('v1/pods', { namespace, name: pod });
    const path = `/api/v1/nodes/${found.spec.nodeName}/proxy/stats/summary`;
    const summary = JSON.parse(await this.api.raw(path)) as StatsSummary;
    return summary.pods
      .find(({ podRef }) => podRef.namespace === namespace && podRef.name === pod)
      ?.containers?.find(({ name }) => name === container)?.memory?.workingSetBytes;
  }

  /** The pods, the last events and the programs that are gone, as text for a person. */
  async describe(): Promise<string> {
    const args = ['--all-namespaces', '--output=wide', '--request-timeout=5s'];
    const pods = await this.kubectl(['get', 'pods', ...args]).catch((error: unknown) => ({
      stdout: String(error),
    }));
    const events = await this.kubectl([
      'get',
      'events',
      '--all-namespaces',
      '--sort-by=.lastTimestamp',
      '--request-timeout=5s',
    ])
      .then(({ stdout }) => stdout.trim().split('\n').slice(-25).join('\n'))
      .catch((error: unknown) => String(error));
    return [...this.programs.lastWords(), pods.stdout, events].join('\n\n');
  }

  /** Ends the cluster and removes everything it made. */
  async stop(): Promise<void> {
    await this.#connected?.close();
    await clearSlot(this.plan);
  }

  async #client(program: string, args: readonly string[], options: RunOptions): Promise<Output> {
    return await run([program, ...args], {
      ...options,
      env: { KUBECONFIG: this.kubeconfig, ...options.env },
    });
  }
}

interface StatsSummary {
  readonly pods: readonly {
    readonly podRef: { readonly name: string; readonly namespace: string };
    readonly containers?: readonly {
      readonly name: string;
      readonly memory?: { readonly workingSetBytes?: number };
    }[];
  }[];
}

/** The program inside test images. */
export async function testPrograms(signal?: AbortSignal): Promise<ImageRequest['program']> {
  const program = async (arch: 'amd64' | 'arm64'): Promise<Buffer> => {
    const folder = await buildTool('pause', { os: 'linux', arch }, signal ? { signal } : {});
    return readFileSync(join(folder, 'pause'));
  };
  return { 'linux/amd64': await program('amd64'), 'linux/arm64': await program('arm64') };
}
