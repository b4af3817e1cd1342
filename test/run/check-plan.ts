/** What `make check` runs for a set of changed files, and what it leaves to the person. */

/** Paths are relative to the checkout. */
export interface CheckPlan {
  /** A file that everything depends on has changed. */
  readonly everything: boolean;
  /** For eslint. */
  readonly code: readonly string[];
  /** For prettier, which passes over what it does not know. */
  readonly all: readonly string[];
  /** For jest, which runs the tests among them and the tests that import any of them. */
  readonly related: readonly string[];
  /** Tests on a real cluster in which a fault of the change would show first; not run. */
  readonly cluster: readonly string[];
}

interface Dependants {
  /**
   * Tests that start the folder's program, or read its files, by path: jest does not see that they depend on
   * it.
   */
  readonly integration?: readonly string[];
  /** Relative to test/e2e. */
  readonly cluster?: readonly string[];
}

/** By folder. */
export const DEPENDANTS: Readonly<Record<string, Dependants>> = {
  api: { integration: ['policy'], cluster: ['story', 'admission', 'life'] },
  build: { cluster: ['story'] },
  controller: {
    integration: ['capacity', 'controller', 'leaders', 'life', 'policy', 'rescue', 'uninstall'],
    cluster: ['life', 'rescue', 'lifecycle/uninstall'],
  },
  copier: { integration: ['outbound-proxy'], cluster: ['cold-pulls', 'faults-upstream', 'tenancy'] },
  manifests: {
    integration: ['chart', 'cert-manager', 'monitoring', 'policy', 'tenancy-guard', 'uninstall'],
    cluster: ['story', 'lifecycle/rollout'],
  },
  platform: { integration: ['shared-port'], cluster: ['story', 'faults-own'] },
  proxy: {
    integration: ['outbound-proxy', 'shared-port'],
    cluster: ['cold-pulls', 'clients', 'lifecycle/rollout'],
  },
  registry: { integration: ['outbound-proxy'], cluster: ['cold-pulls', 'faults-upstream', 'tenancy'] },
  store: { integration: ['store-process', 'store-s3'], cluster: ['faults-own', 'lifecycle/external-store'] },
  webhook: { integration: ['cert-manager'], cluster: ['admission', 'bad-input'] },
};

const CLUSTER_TEST = /^test\/e2e\/(.*)\.test\.ts$/;
const EVERYTHING = new Set(['package-lock.json', 'tsconfig.base.json', 'jest.config.js', 'eslint.config.js']);

export function planCheck(changed: readonly string[]): CheckPlan {
  const code = changed.filter((path) => /\.[jt]s$/.test(path));
  // A unit test concerns its own folder's programs no more than their code does.
  const folders = new Set(
    changed.filter((path) => !path.endsWith('.test.ts')).map((path) => path.split('/')[0] ?? ''),
  );
  const dependants = [...folders].flatMap((folder) => DEPENDANTS[folder] ?? []);
  const integration = dependants.flatMap((each) => each.integration ?? []);
  const own = changed.flatMap((path) => CLUSTER_TEST.exec(path)?.[1] ?? []);
  return {
    everything: changed.some((path) => EVERYTHING.has(path)),
    code,
    all: changed,
    related: unique([...code, ...integration.map((name) => `test/integration/${name}.test.ts`)]),
    cluster: unique([...own, ...dependants.flatMap(({ cluster = [] }) => cluster)]),
  };
}

/** Commands that run cluster tests. */
export function clusterCommands(names: readonly string[]): string[] {
  const inFolder = (own: boolean): string[] =>
    names
      .filter((name) => name.startsWith('lifecycle/') === own)
      .map((name) => name.slice(name.indexOf('/') + 1));
  return [['e2e', inFolder(false)] as const, ['lifecycle', inFolder(true)] as const]
    .filter(([, files]) => files.length > 0)
    .map(([target, files]) => `make ${target} ONLY="${files.join(' ')}"`);
}

function unique(values: readonly string[]): string[] {
  return [...new Set(values)];
}
