/** The programs that a cluster is made of, each from its own pinned Go module. */
import { join } from 'node:path';
import { type BuildOptions, buildGoTool, type GoModule, type GoTarget } from '../../build/go-tool.ts';

const toolsFolder = join(import.meta.dirname, 'tools');
const kubernetesVersion = 'v1.36.4';

function last(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}

function packages(prefix: string, ...names: string[]): Record<string, string> {
  return Object.fromEntries(names.map((name) => [last(name), `${prefix}/${name}`]));
}

const kubernetes: GoModule = {
  folder: join(toolsFolder, 'kubernetes'),
  binaries: packages(
    'k8s.io/kubernetes/cmd',
    'kube-apiserver',
    'kube-controller-manager',
    'kube-scheduler',
    'kube-proxy',
    'kubelet',
    'kubectl',
  ),
  ldflags: Object.entries({ gitVersion: kubernetesVersion, gitMajor: '1', gitMinor: '36' })
    .map(([name, value]) => `-X k8s.io/component-base/version.${name}=${value}`)
    .join(' '),
};

const containerd: GoModule = {
  folder: join(toolsFolder, 'containerd'),
  binaries: packages(
    'github.com/containerd/containerd/v2/cmd',
    'containerd',
    'containerd-shim-runc-v2',
    'ctr',
  ),
};

const cni: GoModule = {
  folder: join(toolsFolder, 'cni'),
  binaries: packages(
    'github.com/containernetworking/plugins/plugins',
    'main/bridge',
    'main/loopback',
    'ipam/host-local',
    'meta/portmap',
  ),
};

/** Every module, by the name of its folder; `registry` is the one that the product's own image holds. */
export const toolModules = {
  kubernetes,
  containerd,
  cni,
  etcd: { folder: join(toolsFolder, 'etcd'), binaries: { etcd: 'go.etcd.io/etcd/server/v3' } },
  helm: { folder: join(toolsFolder, 'helm'), binaries: { helm: 'helm.sh/helm/v4/cmd/helm' } },
  crane: {
    folder: join(toolsFolder, 'crane'),
    binaries: { crane: 'github.com/google/go-containerregistry/cmd/crane' },
  },
  coredns: { folder: join(toolsFolder, 'coredns'), binaries: { coredns: 'github.com/coredns/coredns' } },
  kwok: { folder: join(toolsFolder, 'kwok'), binaries: { kwok: 'sigs.k8s.io/kwok/cmd/kwok' } },
  gofakes3: {
    folder: join(toolsFolder, 'gofakes3'),
    binaries: { gofakes3: 'github.com/johannesboyne/gofakes3/cmd/gofakes3' },
  },
  'cert-manager': { folder: join(toolsFolder, 'cert-manager'), binaries: { 'cert-manager': '.' } },
  cri: { folder: join(toolsFolder, 'cri'), binaries: { cri: '.' } },
  pause: { folder: join(toolsFolder, 'pause'), binaries: { pause: '.' } },
  registry: {
    folder: join(import.meta.dirname, '../../store/distribution'),
    binaries: { registry: 'github.com/distribution/distribution/v3/cmd/registry' },
  },
} as const satisfies Record<string, GoModule>;

export type ToolName = keyof typeof toolModules;

/** Name of the tool → folder that holds its binaries. */
export type ClusterTools = Readonly<Record<(typeof clusterTools)[number], string>>;

/** What a cluster runs: all but what only benchmarks and single tests use. The quick ones come first. */
const clusterTools = [
  'pause',
  'cri',
  'cni',
  'crane',
  'etcd',
  'containerd',
  'registry',
  'coredns',
  'helm',
  'kubernetes',
] as const satisfies ToolName[];

/**
 * Builds what the cache lacks, one after the other (each build uses all cores), and says how far it is.
 * @throws {GoMissingError} see {@link buildGoTool}.
 */
export async function buildClusterTools(options: BuildOptions = {}): Promise<ClusterTools> {
  const report = options.report ?? ((line: string) => process.stderr.write(`${line}\n`));
  const folders: Partial<Record<ToolName, string>> = {};
  for (const [index, name] of clusterTools.entries()) {
    const progress = (line: string): void => {
      report(`tools ${index + 1}/${clusterTools.length}: ${line}`);
    };
    folders[name] = await buildGoTool(toolModules[name], { ...options, report: progress });
  }
  return folders as ClusterTools;
}

/** Builds one tool, perhaps for another architecture than this machine's, and gives its folder. */
export async function buildTool(name: ToolName, target?: GoTarget, options?: BuildOptions): Promise<string> {
  return await buildGoTool({ ...toolModules[name], ...(target ? { target } : {}) }, options);
}
