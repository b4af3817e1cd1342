/** Credentials files for the API server. */
import { readFileSync, writeFileSync } from 'node:fs';
import type { Authority } from './pki.ts';

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
  const config = {
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
