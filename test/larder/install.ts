/**
 * Installs Larder on a test cluster: its image on every node, its chart with helm, as the README tells a user
 * to.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { buildImage } from '../../build/image.ts';
import type { Cluster } from '../cluster/cluster.ts';

export const CHART = join(import.meta.dirname, '../../manifests/chart/larder');
export const RELEASE = 'larder';
export const NAMESPACE = 'larder';
const CA_OBJECT = 'internet-ca';

export interface InstallOptions {
  /** Chart values on top of those that every test needs. */
  readonly values?: Readonly<Record<string, unknown>>;
  readonly report?: (line: string) => void;
  readonly signal?: AbortSignal;
}

/** Port of the TLS sites that have no name. */
export const TLS_PORT = 5443;

/**
 * Chart values for a test cluster: how to reach its registries and the sites that tests add later, and no
 * persistent volume, since there is no provisioner.
 */
function testValues(cluster: Cluster): Record<string, unknown> {
  const ca = readFileSync(cluster.internet.caFile, 'utf8');
  const upstreams = cluster.internet.siteNames.map((name) => {
    const site = cluster.internet.site(name);
    const tls = { caFrom: { secret: { name: CA_OBJECT } } };
    return { host: site.registry, ...(site.record.tls ? tls : { plainHttp: true }) };
  });
  const later = [
    { host: `${cluster.plan.internet}.*:${TLS_PORT}`, ca },
    { host: `${cluster.plan.internet}.*`, plainHttp: true },
    { host: '*.test', caFrom: { configMap: { name: CA_OBJECT } } },
  ];
  return {
    upstreams: [...upstreams, ...later],
    store: { persistence: { enabled: false } },
  };
}

/**
 * Applies the CA of the sites' certificates as an administrator would: a Secret and a ConfigMap beside the
 * release.
 */
async function applyAuthority(cluster: Cluster): Promise<void> {
  const metadata = { name: CA_OBJECT, namespace: NAMESPACE };
  const pem = readFileSync(cluster.internet.caFile, 'utf8');
  await cluster.apply([
    { apiVersion: 'v1', kind: 'Namespace', metadata: { name: NAMESPACE } },
    { apiVersion: 'v1', kind: 'Secret', metadata, stringData: { 'ca.crt': pem } },
    { apiVersion: 'v1', kind: 'ConfigMap', metadata, data: { 'ca.crt': pem } },
  ]);
}

/**
 * Builds the container image if the sources changed, and imports it on every node, so that no registry is
 * needed.
 */
export async function loadLarderImage(
  cluster: Cluster,
  report: (line: string) => void = () => undefined,
): Promise<void> {
  const image = await buildImage({ architectures: [hostArchitecture()], report });
  await Promise.all(
    cluster.nodes.map(async (node) => {
      if (!(await node.hasImage(image.reference, image.digest))) await node.loadImage(image.folder);
    }),
  );
}

/** Installs or upgrades with helm, and waits until every pod of Larder is Ready. Gives helm's notes. */
export async function installLarder(cluster: Cluster, options: InstallOptions = {}): Promise<string> {
  await loadLarderImage(cluster, options.report);
  await applyAuthority(cluster);
  const values = { ...testValues(cluster), ...options.values };
  const args = ['upgrade', '--install', RELEASE, CHART, '--namespace', NAMESPACE];
  const wait = ['--wait', '--timeout', '120s', '--values', '-'];
  const { stdout } = await cluster
    .helm([...args, ...wait], {
      stdin: JSON.stringify(values),
      ...(options.signal ? { signal: options.signal } : {}),
    })
    .catch(async (error: unknown) => {
      throw new Error(`helm could not install Larder\n${await describeLarder(cluster)}`, { cause: error });
    });
  return stdout;
}

/** Larder's pods and the end of their logs, to find out why they do not start. */
export async function describeLarder(cluster: Cluster): Promise<string> {
  const logs = ['webhook', 'proxy', 'copier', 'controller', 'store'].map(async (process) => {
    const selector = `app.kubernetes.io/component=${process}`;
    const args = ['logs', '--namespace', NAMESPACE, '--selector', selector, '--tail=15', '--prefix'];
    const { stdout } = await cluster.kubectl(args).catch((error: unknown) => ({ stdout: String(error) }));
    return `--- ${process}\n${stdout}`;
  });
  return [await cluster.describe(), ...(await Promise.all(logs))].join('\n');
}

function hostArchitecture(): 'amd64' | 'arm64' {
  return process.arch === 'arm64' ? 'arm64' : 'amd64';
}
