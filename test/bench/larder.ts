/**
 * Larder's processes on this machine's loopback, built as for the image, with logins like the controller's.
 */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { exportJWK, exportPKCS8, generateKeyPair } from 'jose';
import { bundle } from '../../build/bundle.ts';
import { buildRegistry } from '../../build/programs.ts';
import { StoreAuthenticator } from '../../registry/transport/auth/store-login.ts';
import type { Program, Programs } from './programs.ts';
import { freeLoopbackPort } from '../../platform/ports.ts';

export interface RunningStore {
  readonly program: Program;
  /** Where its registries keep what they hold. */
  readonly imagesFolder: string;
  readonly readerUrl: string;
  readonly writerUrl: string;
  readonly readerLogin: string;
  readonly writerLogin: string;
}

/** The folder with `<process>.mjs`. */
export async function bundleLarder(programs: Programs): Promise<string> {
  const folder = programs.subfolder('app');
  await bundle(folder);
  return folder;
}

export async function startStore(programs: Programs, app: string): Promise<RunningStore> {
  const trust = programs.subfolder('store-trust');
  const [readerLogin, writerLogin] = [programs.subfolder('reader-login'), programs.subfolder('writer-login')];
  await makeLogin(readerLogin, join(trust, 'reader.jwks.json'));
  await makeLogin(writerLogin, join(trust, 'writer.jwks.json'));
  const [reader, writer, supervisor, metrics] = [
    await freeLoopbackPort(),
    await freeLoopbackPort(),
    await freeLoopbackPort(),
    await freeLoopbackPort(),
  ];
  const dataFolder = programs.subfolder('store-data');
  const program = await programs.start({
    name: 'store',
    argv: [process.execPath, join(app, 'store.mjs')],
    env: {
      LARDER_STORE_READER_LISTEN: `127.0.0.1:${reader}`,
      LARDER_STORE_WRITER_LISTEN: `127.0.0.1:${writer}`,
      LARDER_STORE_SUPERVISOR_LISTEN: `127.0.0.1:${supervisor}`,
      LARDER_METRICS_LISTEN: `127.0.0.1:${metrics}`,
      LARDER_STORE_DATA: dataFolder,
      LARDER_STORE_RUN: programs.subfolder('store-run'),
      LARDER_STORE_TRUST: trust,
      LARDER_STORE_REGISTRY: await buildRegistry(),
    },
    port: reader,
  });
  const url = (port: number): string => `http://127.0.0.1:${port}`;
  return {
    program,
    imagesFolder: join(dataFolder, 'registry'),
    readerUrl: url(reader),
    writerUrl: url(writer),
    readerLogin,
    writerLogin,
  };
}

export interface RunningProxy {
  readonly program: Program;
  readonly url: string;
}

/** @param copierUrl nobody listens there when only the warm path is measured */
export async function startProxy(
  programs: Programs,
  app: string,
  {
    store,
    copierUrl,
    env = {},
  }: { store: RunningStore; copierUrl: string; env?: Readonly<Record<string, string>> },
): Promise<RunningProxy> {
  const [port, metrics] = [await freeLoopbackPort(), await freeLoopbackPort()];
  const peers = programs.subfolder('proxy-peers');
  const program = await programs.start({
    name: 'proxy',
    argv: [process.execPath, join(app, 'proxy.mjs')],
    env: {
      LARDER_PROXY_LISTEN_PORT: String(port),
      LARDER_PROXY_OWN_SOCKET: join(peers, 'proxy.sock'),
      LARDER_METRICS_LISTEN: `127.0.0.1:${metrics}`,
      LARDER_STORE_READER_URL: store.readerUrl,
      LARDER_STORE_READER_LOGIN: store.readerLogin,
      LARDER_COPIER_URL: copierUrl,
      LARDER_COPIER_CA_FILE: join(peers, 'ca.crt'),
      LARDER_COPIER_TOKEN_FILE: join(peers, 'token'),
      ...env,
    },
    port,
  });
  return { program, url: `http://127.0.0.1:${port}` };
}

/** What a program that is not Larder's shows to the store, for one repository. */
export async function storeAuthorization(login: string, repository: string): Promise<string> {
  const scopes = [{ repository, actions: ['pull'] as const }];
  const header = await new StoreAuthenticator(login).authorization(scopes, new AbortController().signal);
  if (header === undefined) throw new Error('the store asks for a login, but there is none');
  return header;
}

async function makeLogin(folder: string, jwksFile: string): Promise<void> {
  const { privateKey, publicKey } = await generateKeyPair('ES256', { extractable: true });
  await writeFile(join(folder, 'private-key.pem'), await exportPKCS8(privateKey));
  await writeFile(join(folder, 'key-id'), folder);
  const key = { ...(await exportJWK(publicKey)), kid: folder, alg: 'ES256', use: 'sig' };
  await writeFile(jwksFile, JSON.stringify({ keys: [key] }));
}
