/**
 * cert-manager beside a bare Kubernetes API: it issues certificates from a CA, and puts that CA into webhook
 * configurations.
 */
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { parseDocument } from 'yaml';
import { type KubeObject, type Resource, secrets } from '../../platform/kube/resource.ts';
import { createCa } from '../../platform/x509.ts';
import { freeLoopbackPort } from '../../platform/ports.ts';
import type { Programs } from '../bench/programs.ts';
import { buildTool, toolModules } from '../cluster/tools.ts';
import { waitFor } from '../cluster/wait.ts';
import { RELEASE, type ControllerBench } from './controller.ts';

const MODULE = 'github.com/cert-manager/cert-manager';
/** Name of the issuer in the release's namespace, and of the Secret that holds its CA. */
export const ISSUER = 'internal';

interface Certificate extends KubeObject {
  readonly status?: { readonly conditions?: readonly { readonly type: string; readonly status: string }[] };
}

export function untyped<T extends KubeObject>(group: string, kind: string, namespaced = true): Resource<T> {
  const plural = `${kind.toLowerCase()}s`;
  return { group, version: 'v1', kind, plural, namespaced, decode: (raw) => raw as T };
}

export const certificates = untyped<Certificate>('cert-manager.io', 'Certificate');
const issuers = untyped('cert-manager.io', 'Issuer');
const definitions = untyped('apiextensions.k8s.io', 'CustomResourceDefinition', false);

/**
 * Installs the CRDs, starts the programs, which end with the API server, and makes an issuer.
 * @returns the certificate of the issuer's CA
 */
export async function startCertManager(bench: ControllerBench, programs: Programs): Promise<string> {
  const { client } = bench;
  const needed = ['certificates', 'certificaterequests', 'issuers', 'clusterissuers'];
  for (const definition of await readDefinitions(...needed)) await client.create(definitions, definition);
  const program = join(await buildTool('cert-manager'), 'cert-manager');
  const served = (): Promise<unknown> => client.list(issuers);
  await waitFor('the resources of cert-manager to be served', served, { deadlineMs: 30_000 });
  const port = await freeLoopbackPort();
  const flags = ['-kubeconfig', await bench.kubeconfig(), '-health', `127.0.0.1:${port}`];
  await programs.start({ name: 'cert-manager', argv: [program, ...flags], port });

  const ca = await createCa(ISSUER, 90, Date.now());
  const metadata = { name: ISSUER, namespace: RELEASE };
  const stringData = { 'tls.crt': ca.cert, 'tls.key': ca.key };
  await client.create(secrets, { metadata, type: 'kubernetes.io/tls', stringData });
  await client.create(issuers, { metadata, spec: { ca: { secretName: ISSUER } } } as KubeObject);
  return ca.cert;
}

/** The CRDs in the module of the pinned version. */
async function readDefinitions(...plurals: string[]): Promise<KubeObject[]> {
  const { folder } = toolModules['cert-manager'];
  const args = ['mod', 'download', '-json', MODULE];
  const { stdout } = await promisify(execFile)('go', args, { cwd: folder });
  const { Dir } = JSON.parse(stdout) as { Dir: string };
  const files = plurals.map((plural) => join(Dir, 'deploy/crds', `cert-manager.io_${plural}.yaml`));
  const texts = await Promise.all(files.map((file) => readFile(file, 'utf8')));
  return texts.map((text) => parseDocument(text).toJS() as KubeObject);
}
