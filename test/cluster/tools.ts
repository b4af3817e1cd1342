/** The programs that a cluster is made of, each from its own pinned Go module. */
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import {
  type BuildOptions,
  buildGoTool,
  downloadSources,
  type GoModule,
  type GoTarget,
  isBuilt,
} from '../../build/go-tool.ts';
import { ProgressLine } from '../../build/progress-line.ts';
import { BuildProgress, type PlannedBuild } from './build-progress.ts';

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
  coredns: { folder: join(toolsFolder, 'coredns'), binaries: { coredns: '.' } },
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

/**
 * What a cluster runs, with the seconds that each took to compile on two processors that had other work too:
 * how much of the whole it is. The quick ones come first. Tests and benchmarks build what else they use.
 */
const clusterTools = {
  pause: 10,
  cri: 25,
  cni: 5,
  etcd: 50,
  containerd: 75,
  coredns: 75,
  registry: 120,
  helm: 200,
  kubernetes: 560,
} as const satisfies Partial<Record<ToolName, number>>;

type ClusterTool = keyof typeof clusterTools;

/** Name of the tool → folder that holds its binaries. */
export type ClusterTools = Readonly<Record<ClusterTool, string>>;

export interface ClusterBuildOptions {
  readonly signal?: AbortSignal | undefined;
  /** Told at the start what will be done and how long it takes; nothing when the cache has everything. */
  readonly report: (line: string) => void;
  /** Shows how far it is; default: `report`, every 20 seconds. */
  readonly progress?: ProgressLine | undefined;
}

/**
 * Builds what the cache lacks, one after the other, since each build uses all processors; meanwhile the
 * sources of the next are downloaded.
 * @throws as {@link buildGoTool}
 */
export async function buildClusterTools(options: ClusterBuildOptions): Promise<ClusterTools> {
  const built = await Promise.all(clusterBuilds.map(({ module }) => isBuilt(module)));
  const missing = clusterBuilds.filter((_, index) => !built[index]);
  if (missing.length > 0) await buildMissing(missing, options);
  const folders = (Object.keys(clusterTools) as ClusterTool[]).map(
    async (name) => [name, await buildTool(name)] as const,
  );
  return Object.fromEntries(await Promise.all(folders)) as ClusterTools;
}

interface Build extends PlannedBuild {
  readonly module: GoModule;
}

/** The program in test images is needed for both platforms, since images are made for both. */
const clusterBuilds: readonly Build[] = [
  ...(['amd64', 'arm64'] as const).map((arch) => ({
    name: `pause for ${arch}`,
    seconds: clusterTools.pause,
    module: { ...toolModules.pause, target: { os: 'linux', arch } as const },
  })),
  ...Object.entries(clusterTools)
    .filter(([name]) => name !== 'pause')
    .map(([name, seconds]) => ({ name, seconds, module: toolModules[name as ClusterTool] })),
];

async function buildMissing(missing: readonly Build[], options: ClusterBuildOptions): Promise<void> {
  const { report } = options;
  const line =
    options.progress ??
    new ProgressLine({
      write: (text) => {
        report(text.trimEnd());
      },
    });
  const progress = new BuildProgress(missing, availableParallelism(), performance.now());
  report(progress.announcement());
  const tick = setInterval(() => {
    line.show(progress.text(performance.now()));
  }, 1_000);
  const ended = new AbortController();
  const signal = AbortSignal.any([ended.signal, ...(options.signal ? [options.signal] : [])]);
  const downloads = downloadInTurn(missing, progress, signal);
  try {
    for (const { name, module } of missing) {
      progress.start(name);
      await buildGoTool(module, {
        signal,
        report: () => undefined,
        progress: (packages) => {
          progress.compiled(packages);
        },
      });
      progress.finish();
    }
  } finally {
    clearInterval(tick);
    line.end();
    ended.abort();
    await downloads;
  }
  report(progress.conclusion(performance.now()));
}

/** Never throws: a build downloads for itself what is not there, and says what is wrong. */
async function downloadInTurn(
  builds: readonly Build[],
  progress: BuildProgress,
  signal: AbortSignal,
): Promise<void> {
  for (const { name, module } of builds) {
    const packages = await downloadSources(module, signal).catch(() => undefined);
    if (packages !== undefined) progress.expect(name, packages);
  }
}

/** Builds one tool, perhaps for another architecture than this machine's, and gives its folder. */
export async function buildTool(name: ToolName, target?: GoTarget, options?: BuildOptions): Promise<string> {
  return await buildGoTool({ ...toolModules[name], ...(target ? { target } : {}) }, options);
}
