/** Brings a cluster up, doing in parallel whatever can be. */
import { Resolver } from 'node:dns/promises';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Agent, request } from 'undici';
import type { ProgressLine } from '../../build/progress-line.ts';
import { makeCgroup } from './cgroups.ts';
import { type Cluster, testPrograms } from './cluster.ts';
import { type ControlPlane, planControlPlane } from './control-plane.ts';
import { clusterDnsConfig, clusterDnsObjects } from './dns.ts';
import { buildImage, ociArchive } from './images.ts';
import { internetDnsConfig, writeNames } from './site-build.ts';
import { writeKubeconfig } from './kubeconfig.ts';
import { Machine } from './machine.ts';
import { bridges, connect, routePods } from './network.ts';
import { configureNode, containerdSocket, type NodePlan, planNode, sandboxImage } from './node.ts';
import { Authority } from './pki.ts';
import { ensurePrerequisites } from './prerequisites.ts';
import type { Plan } from './slot.ts';
import { type SlotOptions, takeSlot } from './take-slot.ts';
import { buildClusterTools } from './tools.ts';
import { WaitError } from './wait.ts';

export interface StartOptions extends SlotOptions {
  /** Default 2. */
  readonly nodes?: number;
  readonly signal?: AbortSignal;
  /** Prints a line for a person; default: to standard error. */
  readonly report?: (line: string) => void;
  /** Shows how far the first build is; default: `report`, every 20 seconds. */
  readonly progress?: ProgressLine;
}

/** The upstream registries that every cluster begins with. */
const firstSites = [
  { name: 'plain' },
  { name: 'example', host: 'registry.example.test', tls: true },
] as const;

/**
 * Builds what is missing, starts a cluster and waits until its nodes are Ready. If that fails, nothing is
 * left behind.
 * @throws {PrerequisiteError | SlotsTakenError} when the user has to do something first.
 */
export async function startCluster(options: StartOptions = {}): Promise<Cluster> {
  const report = options.report ?? ((line: string) => process.stderr.write(`${line}\n`));
  const { signal, progress } = options;
  await ensurePrerequisites(report, signal);
  const tools = await buildClusterTools({ report, signal, progress });
  const cluster = await takeSlot(options, tools);
  try {
    await bringUp(cluster, options.nodes ?? 2, signal);
  } catch (error) {
    const standing = error instanceof WaitError ? '' : await cluster.describe();
    await cluster.stop();
    const message = error instanceof Error ? error.message : String(error);
    throw new Error(`the cluster did not start: ${message}\n${standing}`, { cause: error });
  }
  cluster.state.update((state) => (state.phase = 'running'));
  return cluster;
}

async function bringUp(cluster: Cluster, nodeCount: number, signal?: AbortSignal): Promise<void> {
  const { plan } = cluster;
  const pki = join(plan.folder, 'pki');
  const nodes = Array.from({ length: nodeCount }, (_, index) => planNode(plan, index + 1));
  const [authority] = await Promise.all([
    Authority.create(pki, 'kubernetes'),
    Authority.create(pki, 'internet'),
    buildNodeMachines(cluster, nodes),
  ]);
  const controlPlane = await planControlPlane(plan, authority, {
    etcd: cluster.inside('etcd'),
    kubernetes: cluster.inside('kubernetes'),
  });
  const first = cluster.node(1).machine;
  for (const [name, argv] of Object.entries(controlPlane.first))
    await cluster.programs.start(name, first, argv);
  const apiServer = apiServerReady(cluster, controlPlane, authority, signal);
  await Promise.all([
    apiServer.then(() => startClusterServices(cluster, controlPlane, authority)),
    ...nodes.map((node) => startNode(cluster, node, controlPlane, authority, apiServer)),
    startInternet(cluster),
  ]);
  await nodesReady(cluster, signal);
}

async function buildNodeMachines(cluster: Cluster, nodes: readonly NodePlan[]): Promise<void> {
  const { plan, lab } = cluster;
  const machines = await Promise.all(
    nodes.map(async ({ name, folder, address, cgroup }) => {
      const pausePath = join(cluster.inside('pause'), 'pause');
      const machine = await Machine.start(lab, {
        name,
        folder,
        pausePath,
        nameServer: plan.nameServer,
        address,
      });
      await connect(lab, machine, bridges(plan).lan, address);
      const others = nodes.filter((other) => other.name !== name);
      await routePods(
        machine,
        others.map((other) => ({ network: other.podNetwork, via: other.address })),
      );
      makeCgroup(cgroup);
      return machine;
    }),
  );
  await lab.shell(
    nodes.map(({ podNetwork, address }) => `ip route add ${podNetwork} via ${address}`).join('\n'),
  );
  cluster.state.update((state) => {
    state.nodes = nodes.map(({ name }) => name);
    for (const { name, first } of machines) state.machines[name] = first;
  });
}

async function apiServerReady(
  cluster: Cluster,
  { server }: ControlPlane,
  authority: Authority,
  signal?: AbortSignal,
): Promise<void> {
  const dispatcher = new Agent({ connect: { ca: readFileSync(authority.certFile) } });
  try {
    await cluster.waitFor(
      'the API server is ready',
      async () => {
        const answer = await request(`${server}/readyz`, {
          dispatcher,
          headersTimeout: 2000,
          ...(signal ? { signal } : {}),
        });
        await answer.body.dump();
        return answer.statusCode === 200;
      },
      { deadlineMs: 60_000, signal },
    );
  } finally {
    await dispatcher.close();
  }
}

/** The rest of the control plane, and DNS. */
async function startClusterServices(
  cluster: Cluster,
  controlPlane: ControlPlane,
  authority: Authority,
): Promise<void> {
  const { plan } = cluster;
  const first = cluster.node(1).machine;
  for (const [name, argv] of Object.entries(controlPlane.then))
    await cluster.programs.start(name, first, argv);
  await cluster.apply(clusterDnsObjects(plan));
  const user = { commonName: 'coredns' };
  const kubeconfig = await writeKubeconfig(
    authority,
    join(plan.folder, 'pki/coredns.kubeconfig'),
    controlPlane.server,
    user,
  );
  await startCoreDns(cluster, 'coredns', first, clusterDnsConfig(plan, kubeconfig));
  await cluster.waitFor('the cluster DNS knows its Services', clusterDnsAnswers(plan), {
    deadlineMs: 30_000,
  });
}

function clusterDnsAnswers(plan: Plan): () => Promise<boolean> {
  const resolver = new Resolver({ timeout: 500, tries: 1 });
  resolver.setServers([`${plan.lan}.1`]);
  return async () => (await resolver.resolve4('kubernetes.default.svc.cluster.local')).length > 0;
}

async function startInternet(cluster: Cluster): Promise<void> {
  writeNames(cluster.plan, []);
  await startCoreDns(cluster, 'internet-dns', cluster.lab, internetDnsConfig(cluster.plan));
  // One after the other: each takes the next address.
  for (const site of firstSites) await cluster.internet.addRegistry(site);
}

async function startCoreDns(cluster: Cluster, name: string, machine: Machine, config: string): Promise<void> {
  const file = join(cluster.plan.folder, `${name}.conf`);
  writeFileSync(file, config);
  await cluster.programs.start(name, machine, [join(cluster.inside('coredns'), 'coredns'), '-conf', file]);
}

async function startNode(
  cluster: Cluster,
  plan: NodePlan,
  { server }: ControlPlane,
  authority: Authority,
  apiServer: Promise<void>,
): Promise<void> {
  const node = cluster.nodes.find(({ name }) => name === plan.name);
  if (!node) throw new Error(`${plan.name} has no machine`);
  const commands = await configureNode(cluster.plan, plan, server, authority, {
    kubernetes: cluster.inside('kubernetes'),
    containerd: cluster.inside('containerd'),
    cni: cluster.inside('cni'),
  });
  await cluster.programs.start(`containerd@${node.name}`, node.machine, commands.containerd);
  const socket = `/proc/${node.machine.first.pid}/root${containerdSocket}`;
  await cluster.waitFor(`containerd of ${node.name} listens`, () => Promise.resolve(existsSync(socket)), {
    deadlineMs: 30_000,
    intervalMs: 20,
  });
  await node.loadImage(await sandboxArchive());
  await apiServer;
  await cluster.programs.start(`kubelet@${node.name}`, node.machine, commands.kubelet);
  await cluster.programs.start(`kube-proxy@${node.name}`, node.machine, commands.kubeProxy);
}

async function sandboxArchive(): Promise<Buffer> {
  const platform = process.arch === 'arm64' ? 'linux/arm64' : 'linux/amd64';
  const program = await testPrograms();
  return ociArchive(
    buildImage({ seed: 'sandbox', platforms: [platform], layers: [], program }),
    sandboxImage,
  );
}

async function nodesReady(cluster: Cluster, signal?: AbortSignal): Promise<void> {
  interface NodeList {
    items: { metadata: { name: string }; status: { conditions: { type: string; status: string }[] } }[];
  }
  await cluster.waitFor(
    'every node is Ready',
    async () => {
      const { items } = await cluster.read<NodeList>('v1/nodes');
      const ready = items.filter(({ status }) =>
        status.conditions.some(({ type, status }) => type === 'Ready' && status === 'True'),
      );
      return ready.length === cluster.nodes.length;
    },
    { deadlineMs: 60_000, intervalMs: 250, signal },
  );
  // The API server refuses pods without it.
  await cluster.waitFor(
    'the default ServiceAccount is there',
    async () => await cluster.read('v1/serviceaccounts', { namespace: 'default', name: 'default' }),
    { deadlineMs: 30_000, intervalMs: 100, signal },
  );
}
