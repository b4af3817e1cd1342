/** A copier on this machine's loopback, with what it needs of a cluster: token keys, certificate, tokens. */
import { writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { COPIER_AUDIENCE } from '../../api/names.ts';
import { createCa, issueServerCertificate } from '../../platform/x509.ts';
import type { RunningStore } from './larder.ts';
import type { Program, Programs } from './programs.ts';
import { freeLoopbackPort } from '../../platform/ports.ts';

export interface RunningCopier {
  readonly program: Program;
  readonly url: string;
  /** What a proxy needs to reach it, as settings of the proxy. */
  readonly proxyEnv: Readonly<Record<string, string>>;
  /** PEM. */
  readonly ca: string;
  /** Of the controller, which may order. */
  readonly token: string;
  close(): Promise<void>;
}

const ISSUER = 'https://cluster.test';
const KEY_ID = 'cluster';
const OPERATOR = 'larder/larder-controller';

/** @param upstream host and port of a registry on loopback that speaks plain HTTP */
export async function startCopier(
  programs: Programs,
  app: string,
  { store, upstream }: { readonly store: RunningStore; readonly upstream: string },
): Promise<RunningCopier> {
  const { server, token } = await startTokenKeys();
  const [port, metrics] = [await freeLoopbackPort(), await freeLoopbackPort()];
  const folder = programs.subfolder('copier');
  const file = async (name: string, content: string): Promise<string> => {
    await writeFile(join(folder, name), content);
    return join(folder, name);
  };
  const now = Date.now();
  const authority = await createCa('bench', 1, now);
  const { cert, key } = await issueServerCertificate(authority, ['larder-copier'], 1, now);
  await file('tls.crt', cert);
  await file('tls.key', key);
  const program = await programs.start({
    name: 'copier',
    argv: [process.execPath, join(app, 'copier.mjs')],
    env: {
      // As in the chart.
      MALLOC_TRIM_THRESHOLD_: '131072',
      LARDER_COPIER_LISTEN: `127.0.0.1:${port}`,
      LARDER_METRICS_LISTEN: `127.0.0.1:${metrics}`,
      LARDER_TLS: folder,
      LARDER_COPIER_READERS: '',
      LARDER_COPIER_OPERATORS: OPERATOR,
      LARDER_KUBECONFIG: await file('kubeconfig', kubeconfig((server.address() as AddressInfo).port)),
      LARDER_STORE_READER_URL: store.readerUrl,
      LARDER_STORE_READER_LOGIN: store.readerLogin,
      LARDER_STORE_WRITER_URL: store.writerUrl,
      LARDER_STORE_WRITER_LOGIN: store.writerLogin,
      LARDER_UPSTREAMS_FILE: await file('upstreams.json', JSON.stringify(upstreamSettings(upstream))),
      // Nobody comes any more once it shall stop.
      LARDER_LINGER_TIME: '0s',
      LARDER_SPOOL_FOLDER: programs.subfolder('spool'),
    },
    port,
  });
  return {
    program,
    url: `https://127.0.0.1:${port}`,
    proxyEnv: {
      LARDER_COPIER_SERVER_NAME: 'larder-copier',
      LARDER_COPIER_CA_FILE: await file('ca.crt', authority.cert),
      LARDER_COPIER_TOKEN_FILE: await file('token', token),
    },
    ca: authority.cert,
    token,
    close: async () => {
      server.close();
      await once(server, 'close');
    },
  };
}

/** The two documents of an API server that tell whose tokens to trust, and a token that is signed so. */
async function startTokenKeys(): Promise<{ server: Server; token: string }> {
  const { privateKey, publicKey } = await generateKeyPair('ES256', { extractable: true });
  const jwks = { keys: [{ ...(await exportJWK(publicKey)), kid: KEY_ID, alg: 'ES256', use: 'sig' }] };
  const pages: Readonly<Record<string, object>> = {
    '/.well-known/openid-configuration': { issuer: ISSUER, jwks_uri: `${ISSUER}/openid/v1/jwks` },
    '/openid/v1/jwks': jwks,
  };
  const server = createServer((request, response) => {
    const page = pages[request.url ?? ''];
    response.writeHead(page === undefined ? 404 : 200, {
      'content-type': 'application/json',
      connection: 'close',
    });
    response.end(JSON.stringify(page ?? { kind: 'Status', apiVersion: 'v1', status: 'Failure', code: 404 }));
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const token = await new SignJWT({})
    .setProtectedHeader({ alg: 'ES256', kid: KEY_ID })
    .setIssuer(ISSUER)
    .setAudience(COPIER_AUDIENCE)
    .setSubject(`system:serviceaccount:${OPERATOR.replace('/', ':')}`)
    .setIssuedAt()
    .setExpirationTime('1h')
    .sign(privateKey);
  return { server, token };
}

/** JSON is YAML too. */
function kubeconfig(port: number): string {
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [
      { name: 'bench', cluster: { server: `http://127.0.0.1:${port}`, 'insecure-skip-tls-verify': true } },
    ],
    users: [{ name: 'bench', user: {} }],
    contexts: [{ name: 'bench', context: { cluster: 'bench', user: 'bench' } }],
    'current-context': 'bench',
  });
}

function upstreamSettings(host: string): object[] {
  return [{ host, plainHttp: true, allowAddresses: ['127.0.0.0/8'] }];
}
