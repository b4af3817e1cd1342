/** The configuration and command lines of one Kubernetes node: containerd, kubelet, kube-proxy and CNI. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { writeKubeconfig } from './kubeconfig.ts';
import type { Authority } from './pki.ts';
import { clusterDnsAddress, type Plan } from './slot.ts';

export const containerdSocket = '/run/containerd/containerd.sock';

/** The sandbox of pods; imported on each node, never pulled. */
export const sandboxImage = 'larder.test/pause:1';

export interface NodePlan {
  readonly name: string;
  readonly folder: string;
  readonly address: string;
  readonly podNetwork: string;
  /** Path below each cgroup hierarchy. */
  readonly cgroup: string;
}

export interface NodeBinaries {
  readonly kubernetes: string;
  readonly containerd: string;
  readonly cni: string;
}

export interface NodeCommands {
  readonly containerd: readonly string[];
  readonly kubelet: readonly string[];
  readonly kubeProxy: readonly string[];
}

/** Nodes are counted from 1. */
export function planNode(plan: Plan, index: number): NodePlan {
  const name = `node-${index}`;
  return {
    name,
    folder: join(plan.folder, name),
    address: `${plan.lan}.${index}`,
    podNetwork: `${plan.pods}.${index}.0/24`,
    cgroup: `${plan.name}/${name}`,
  };
}

/** Writes the node's configuration files and gives its command lines. */
export async function configureNode(
  plan: Plan,
  node: NodePlan,
  server: string,
  authority: Authority,
  binaries: NodeBinaries,
): Promise<NodeCommands> {
  const etc = join(node.folder, 'etc');
  const cniFolder = join(etc, 'cni');
  mkdirSync(cniFolder, { recursive: true });
  const file = (name: string, content: string | object): string => {
    const path = join(etc, name);
    writeFileSync(path, typeof content === 'string' ? content : JSON.stringify(content, undefined, 2));
    return path;
  };
  const kubeletUser = { commonName: `system:node:${node.name}`, organization: 'system:nodes' };
  const kubelet = await writeKubeconfig(authority, join(etc, 'kubelet.kubeconfig'), server, kubeletUser);
  const proxyUser = { commonName: 'system:kube-proxy' };
  const proxy = await writeKubeconfig(authority, join(etc, 'kube-proxy.kubeconfig'), server, proxyUser);
  file('cni/10-bridge.conflist', cniConfig(node));
  const containerdFile = file('containerd.toml', containerdConfig(plan, binaries, cniFolder));
  const kubeletFile = file('kubelet.json', kubeletConfig(node, authority.certFile));
  const proxyFile = file('kube-proxy.json', kubeProxyConfig(plan, node, proxy));
  return {
    containerd: [join(binaries.containerd, 'containerd'), '--config', containerdFile],
    kubelet: [
      join(binaries.kubernetes, 'kubelet'),
      `--config=${kubeletFile}`,
      `--kubeconfig=${kubelet}`,
      `--node-ip=${node.address}`,
      `--hostname-override=${node.name}`,
      '--housekeeping-interval=5s',
    ],
    kubeProxy: [join(binaries.kubernetes, 'kube-proxy'), `--config=${proxyFile}`],
  };
}

/** One folder for all nodes; containerd reads it at each pull. */
export function hostsFolder(plan: Plan): string {
  return join(plan.folder, 'certs.d');
}

function containerdConfig(plan: Plan, binaries: NodeBinaries, cniFolder: string): string {
  return `version = 3
root = '/var/lib/containerd'
state = '/run/containerd'

[grpc]
  address = '${containerdSocket}'

[plugins.'io.containerd.cri.v1.images']
  snapshotter = 'overlayfs'
  [plugins.'io.containerd.cri.v1.images'.pinned_images]
    sandbox = '${sandboxImage}'
  [plugins.'io.containerd.cri.v1.images'.registry]
    config_path = '${hostsFolder(plan)}'

[plugins.'io.containerd.cri.v1.runtime']
  # Even root may lack the right to lower it (CAP_SYS_RESOURCE).
  restrict_oom_score_adj = true
  [plugins.'io.containerd.cri.v1.runtime'.cni]
    bin_dirs = ['${binaries.cni}']
    conf_dir = '${cniFolder}'
  [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
    runtime_type = 'io.containerd.runc.v2'
    [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
      BinaryName = '/usr/sbin/runc'
      SystemdCgroup = false

[plugins.'io.containerd.nri.v1.nri']
  disable = true
`;
}

function cniConfig(node: NodePlan): object {
  return {
    cniVersion: '1.0.0',
    name: 'pods',
    plugins: [
      {
        type: 'bridge',
        bridge: 'cni0',
        isGateway: true,
        hairpinMode: true,
        ipam: { type: 'host-local', ranges: [[{ subnet: node.podNetwork }]], routes: [{ dst: '0.0.0.0/0' }] },
      },
      { type: 'portmap', backend: 'nftables', snat: true, capabilities: { portMappings: true } },
    ],
  };
}

function kubeletConfig(node: NodePlan, clientCa: string): object {
  return {
    apiVersion: 'kubelet.config.k8s.io/v1beta1',
    kind: 'KubeletConfiguration',
    address: node.address,
    authentication: {
      anonymous: { enabled: false },
      webhook: { enabled: true },
      x509: { clientCAFile: clientCa },
    },
    authorization: { mode: 'Webhook' },
    cgroupDriver: 'cgroupfs',
    cgroupRoot: `/${node.cgroup}`,
    cgroupsPerQOS: true,
    clusterDNS: [clusterDnsAddress],
    clusterDomain: 'cluster.local',
    containerRuntimeEndpoint: `unix://${containerdSocket}`,
    enforceNodeAllocatable: [],
    failCgroupV1: false,
    failSwapOn: false,
    // A developer's disk is often nearly full, and images must not vanish during a test.
    evictionHard: { 'imagefs.available': '1%', 'nodefs.available': '1%', 'memory.available': '50Mi' },
    imageGCHighThresholdPercent: 100,
    makeIPTablesUtilChains: false,
    nodeStatusUpdateFrequency: '2s',
    // Spares those who watch nodes updates without news; the lease shows that the node is alive.
    nodeStatusReportFrequency: '5m',
    resolvConf: '/etc/resolv.conf',
    serializeImagePulls: false,
    // How soon a changed Secret or ConfigMap reaches a pod; the default of a minute is long for a test.
    syncFrequency: '10s',
  };
}

function kubeProxyConfig(plan: Plan, node: NodePlan, kubeconfig: string): object {
  return {
    apiVersion: 'kubeproxy.config.k8s.io/v1alpha1',
    kind: 'KubeProxyConfiguration',
    bindAddress: node.address,
    clientConnection: { kubeconfig },
    clusterCIDR: `${plan.pods}.0.0/16`,
    // These kernel settings are those of the whole machine.
    conntrack: { maxPerCore: 0, min: 0, tcpEstablishedTimeout: '0s', tcpCloseWaitTimeout: '0s' },
    hostnameOverride: node.name,
    mode: 'nftables',
    nftables: { minSyncPeriod: '100ms' },
  };
}
