/** A running cluster, and what tests, demo and benchmarks do with it. `startCluster` makes one, `Cluster.attach` finds one. */
import { readFileSync } from 'node:fs';
import { Resolver } from 'node:dns/promises';
import { basename, join } from 'node:path';
import { buildTool } from './tools.ts';
import { ClusterNode } from './cluster-node.ts';
import { isAlive, type Output, run, type RunOptions, signalProcess, waitForEnd } from './command.ts';
import { buildImage, type ImageRequest, type Platform } from './images.ts';
import { buildSite, distributionCommand, type SiteOptions, type SitePlan, writeNames } from './internet.ts';
import { clearSlot, findLab } from './lab.ts';
import { Machine } from './machine.ts';
import { planNode } from './node.ts';
import { Authority } from './pki.ts';
import { programOf, Site } from './site.ts';
import { type Plan, planOf, type Slot } from './slot.ts';
import { type ClusterState, type ProgramRecord, readState, type SiteRecord, updateState } from './state.ts';
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
  /** Digest of the platform's manifest, and bytes of the manifest, its config and its layers together. */
  readonly platforms: Readonly<
    Partial<Record<Platform, { readonly digest: string; readonly bytes: number }>>
  >;
}

export class Cluster {
  readonly plan: Plan;
  readonly lab: Machine;
  private readonly state: ClusterState;

  constructor(plan: Plan, state: ClusterState) {
    const lab = state.machines['lab'];
    if (!lab) throw new Error('the state of the cluster names no lab');
    this.plan = plan;
    this.state = state;
    this.lab = new Machine('lab', plan.folder, lab);
  }

  /** @throws {Error} when no cluster runs in the slot. */
  static attach(slot: Slot): Cluster {
    const plan = planOf(slot);
    const state = readState(plan.folder);
    if (!state || !findLab(plan)) throw new Error(`no cluster runs in slot ${slot}`);
    return new Cluster(plan, state);
  }

  /** For `export KUBECONFIG=…`. */
  get kubeconfig(): string {
    return join(this.plan.folder, 'pki/admin.kubeconfig');
  }

  get isRunning(): boolean {
    return this.state.phase === 'running';
  }

  /** Folder of a tool's programs, as this machine sees it. */
  tool(name: string): string {
    const folder = this.state.tools[name];
    if (folder === undefined) throw new Error(`the cluster was started without the tool ${name}`);
    return folder;
  }

  /** The same, as the cluster's machines see it. */
  inside(name: string): string {
    return join(this.plan.folder, 'tools', basename(this.tool(name)));
  }

  get nodes(): ClusterNode[] {
    const tools = { cri: this.inside('cri'), containerd: this.inside('containerd') };
    return this.state.nodes.map((_, index) => {
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
    const first = this.state.machines[name];
    if (!first)
      throw new Error(
        `the cluster has no machine ${name}; it has ${Object.keys(this.state.machines).join(', ')}`,
      );
    const folder = name.startsWith('up-') ? join('sites', name.slice('up-'.length)) : name;
    return new Machine(name, name === 'lab' ? this.plan.folder : join(this.plan.folder, folder), first);
  }

  site(name: string): Site {
    const record = this.state.sites[name];
    if (!record) throw new Error(`there is no site ${name}; there are ${this.siteNames.join(', ')}`);
    return new Site(record, this.lab, this.machine(`up-${name}`), this.internetCa);
  }

  get siteNames(): string[] {
    return Object.keys(this.state.sites);
  }

  /** The private CA of the "internet", PEM. */
  get internetCa(): string {
    return join(this.plan.folder, 'pki/internet-ca.crt');
  }

  async kubectl(args: readonly string[], options: RunOptions = {}): Promise<Output> {
    return await this.client(join(this.tool('kubernetes'), 'kubectl'), args, options);
  }

  /** The caller says what shape the answer has. */
  // eslint-disable-next-line @typescript-eslint/no-unnecessary-type-parameters -- spares each caller a cast
  async kubectlJson<T>(args: readonly string[], options?: RunOptions): Promise<T> {
    return JSON.parse((await this.kubectl([...args, '--output=json'], options)).stdout) as T;
  }

  /** Applies objects with server-side apply. */
  async apply(objects: object | readonly object[], options: RunOptions = {}): Promise<void> {
    const items = Array.isArray(objects) ? (objects as object[]) : [objects];
    const stdin = JSON.stringify({ apiVersion: 'v1', kind: 'List', items });
    await this.kubectl(['apply', '--server-side', '--force-conflicts', '-f', '-'], { ...options, stdin });
  }

  async helm(args: readonly string[], options: RunOptions = {}): Promise<Output> {
    return await this.client(join(this.tool('helm'), 'helm'), args, options);
  }

  /** As {@link waitFor}; when it does not come, the error shows the pods, the last events and which programs are gone. */
  async waitFor<T>(
    what: string,
    condition: () => Promise<T | undefined | false>,
    options: WaitOptions,
  ): Promise<T> {
    return await waitFor(what, condition, { dump: () => this.describe(), ...options });
  }

  /** Makes an image and sends it to a site, over the site's link. */
  async pushImage(request: PushRequest): Promise<PushedImage> {
    const platforms = request.platforms ?? ['linux/amd64', 'linux/arm64'];
    const image = buildImage({
      seed: request.seed ?? `${request.repository}:${request.tag}`,
      platforms,
      layers: request.layers ?? [64 * 1024],
      program: await testPrograms(request.signal),
    });
    const site = this.site(request.site);
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

  /** Adds a registry (CNCF distribution) to the "internet". */
  async addRegistry(options: SiteOptions): Promise<Site> {
    return await this.addSite(options, (site) =>
      distributionCommand(join(this.inside('registry'), 'registry'), site),
    );
  }

  /** Adds any server to the "internet": `command` says what to run on its machine, which may be a hostile upstream. */
  async addSite(
    options: SiteOptions,
    command: (site: SitePlan) => Promise<readonly string[]>,
  ): Promise<Site> {
    if (this.state.sites[options.name]) throw new Error(`there is a site ${options.name} already`);
    const authority = await Authority.open(join(this.plan.folder, 'pki'), 'internet');
    const pausePath = join(this.inside('pause'), 'pause');
    const used = this.siteNames.length;
    const { machine, site } = await buildSite(this.plan, this.lab, authority, pausePath, used, options);
    this.update((state) => {
      state.machines[machine.name] = machine.first;
      state.sites[options.name] = site.record;
    });
    writeNames(this.plan, Object.values(this.state.sites));
    await this.startProgram(programOf(options.name), machine, await command(site));
    await Promise.all([this.listening(machine, site.record.port), this.named(site.record)]);
    return this.site(options.name);
  }

  /** Names of the cluster's programs: `etcd`, `kube-apiserver`, `kubelet@node-1`, `coredns`, `site-plain`, … */
  get programs(): string[] {
    return Object.keys(this.state.programs);
  }

  /** Starts a program on a machine and keeps in mind how. */
  async startProgram(
    name: string,
    machine: Machine,
    argv: readonly string[],
    env: Readonly<Record<string, string>> = {},
  ): Promise<void> {
    const process = await machine.start(name, argv, env);
    this.update((state) => {
      state.programs[name] = { machine: machine.name, argv, env, process };
    });
  }

  /** Ends a program, by SIGTERM unless said otherwise, and waits until it is gone; does nothing when it is. */
  async stopProgram(name: string, signal: 'SIGTERM' | 'SIGKILL' = 'SIGTERM'): Promise<void> {
    const { process } = this.program(name);
    signalProcess(process, 'SIGCONT');
    signalProcess(process, signal);
    await waitForEnd(process, 30_000);
  }

  /** Starts a stopped program again, as it was. */
  async restartProgram(name: string): Promise<void> {
    const { machine, argv, env } = this.program(name);
    await this.startProgram(name, this.machine(machine), argv, env);
  }

  /** Freezes a program: it holds its connections, and answers nothing. */
  freezeProgram(name: string): void {
    signalProcess(this.program(name).process, 'SIGSTOP');
  }

  thawProgram(name: string): void {
    signalProcess(this.program(name).process, 'SIGCONT');
  }

  /** Takes the whole "internet" away (or back), name server included. */
  async setInternet(up: boolean): Promise<void> {
    await this.lab.runInNetwork(['ip', 'link', 'set', 'internet', up ? 'up' : 'down']);
  }

  /** Working set in bytes of a container, as the kubelet measured it last; undefined while it has not. */
  async workingSet(namespace: string, pod: string, container: string): Promise<number | undefined> {
    const found = await this.kubectlJson<{ spec: { nodeName: string } }>([
      'get',
      'pod',
      pod,
      '--namespace',
      namespace,
    ]);
    const path = `/api/v1/nodes/${found.spec.nodeName}/proxy/stats/summary`;
    const summary = JSON.parse((await this.kubectl(['get', '--raw', path])).stdout) as StatsSummary;
    return summary.pods
      .find(({ podRef }) => podRef.namespace === namespace && podRef.name === pod)
      ?.containers?.find(({ name }) => name === container)?.memory?.workingSetBytes;
  }

  /** Pods, last events, and programs that are gone, as text for a person. */
  async describe(): Promise<string> {
    const dead = Object.entries(this.state.programs).filter(([, { process }]) => !isAlive(process));
    const logs = dead.map(([name, { machine }]) => `${name} is gone:\n${this.lastWords(name, machine)}`);
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
    return [...logs, pods.stdout, events].join('\n\n');
  }

  /** Ends the cluster and removes all that it made. */
  async stop(): Promise<void> {
    await clearSlot(this.plan);
  }

  /** Writes down a change, so that other processes see it too. */
  update(change: (state: ClusterState) => void): void {
    updateState(this.plan.folder, this.state, change);
  }

  private program(name: string): ProgramRecord {
    const record = this.state.programs[name];
    if (!record) throw new Error(`the cluster has no program ${name}; it has ${this.programs.join(', ')}`);
    return record;
  }

  private lastWords(name: string, machine: string): string {
    return readFileSync(this.machine(machine).logs(name).stderr, 'utf8').slice(-1500);
  }

  private async listening(machine: Machine, port: number): Promise<void> {
    const hexPort = port.toString(16).toUpperCase().padStart(4, '0');
    const listens = new RegExp(`:${hexPort} \\S+ 0A `);
    await this.waitFor(
      `${machine.name} listens on port ${port}`,
      () => {
        const tables = ['tcp', 'tcp6'].map((table) =>
          readFileSync(`/proc/${machine.first.pid}/net/${table}`, 'utf8'),
        );
        return Promise.resolve(tables.some((table) => listens.test(table)));
      },
      { deadlineMs: 15_000, intervalMs: 20 },
    );
  }

  private async named({ host, address }: SiteRecord): Promise<void> {
    if (host === undefined) return;
    const resolver = new Resolver({ timeout: 500, tries: 1 });
    resolver.setServers([this.plan.nameServer]);
    const known = async (): Promise<boolean> => (await resolver.resolve4(host)).includes(address);
    await this.waitFor(`${host} has a name`, known, { deadlineMs: 15_000, intervalMs: 20 });
  }

  private async client(program: string, args: readonly string[], options: RunOptions): Promise<Output> {
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
