/** Credentials files for the API server. */
import { readFileSync, writeFileSync } from 'node:fs';
import type { Authority } from './pki.ts';

interface Kubeconfig {
  readonly apiVersion: 'v1';
  readonly kind: 'Config';
  readonly clusters: readonly [
    {
      readonly name: string;
      readonly cluster: { readonly server: string; readonly 'certificate-authority-data': string };
    },
  ];
  readonly users: readonly [
    {
      readonly name: string;
      readonly user: { readonly 'client-certificate-data': string; readonly 'client-key-data': string };
    },
  ];
  readonly contexts: readonly object[];
  readonly 'current-context': string;
}

/** How to reach the API server, and as which user; everything but the address is PEM. */
export interface Credentials {
  readonly server: string;
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

/** Writes a kubeconfig with a fresh client certificate inside, and gives its path. */
export async function writeKubeconfig(
  authority: Authority,
  file: string,
  server: string,
  user: { readonly commonName: string; readonly organization?: string },
): Promise<string> {
  const base64 = (path: string): string => readFileSync(path).toString('base64');
  const name = user.commonName.replaceAll(/[^a-z0-9-]/g, '-');
  const certificate = await authority.issue(`client-${name}`, user);
  const config: Kubeconfig = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [
      { name: 'larder', cluster: { server, 'certificate-authority-data': base64(authority.certFile) } },
    ],
    users: [
      {
        name,
        user: {
          'client-certificate-data': base64(certificate.cert),
          'client-key-data': base64(certificate.key),
        },
      },
    ],
    contexts: [{ name: 'larder', context: { cluster: 'larder', user: name } }],
    'current-context': 'larder',
  };
  writeFileSync(file, `${JSON.stringify(config, undefined, 2)}\n`, { mode: 0o600 });
  return file;
}

/** Reads a kubeconfig that {@link writeKubeconfig} wrote. */
export function readKubeconfig(file: string): Credentials {
  const { clusters, users } = JSON.parse(readFileSync(file, 'utf8')) as Kubeconfig;
  const text = (base64: string): string => Buffer.from(base64, 'base64').toString();
  const [{ cluster }] = clusters;
  const [{ user }] = users;
  return {
    server: cluster.server,
    ca: text(cluster['certificate-authority-data']),
    cert: text(user['client-certificate-data']),
    key: text(user['client-key-data']),
  };
}
