/** The store with the real registry program, on free ports, with its two logins. */
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { exportJWK, exportPKCS8, generateKeyPair, importPKCS8, SignJWT } from 'jose';
import { type StoreStatus, storeStatusSchema } from '../../api/store-api.ts';
import { buildRegistry } from '../../build/programs.ts';
import { systemClock } from '../../platform/clock.ts';
import { silentLogger } from '../../platform/log.ts';
import { RepositoryClient } from '../../registry/client/repository-client.ts';
import { putManifest } from '../../registry/client/manifests.ts';
import { uploadBlob } from '../../registry/client/upload.ts';
import { createConnections } from '../../registry/transport/http/connector.ts';
import { StoreAuthenticator } from '../../registry/transport/auth/store-login.ts';
import { Transport } from '../../registry/transport/transport.ts';
import { supervisorApi } from '../../store/api.ts';
import type { StorageDriver } from '../../store/distribution-config.ts';
import { freeLoopbackPort } from '../../platform/ports.ts';
import { Supervisor } from '../../store/supervisor.ts';
import { readTrust } from '../../store/trust.ts';
import { waitFor } from '../cluster/wait.ts';
import type { TestImage } from '../fakes/images.ts';

export type Side = 'reader' | 'writer';

interface Parts {
  readonly origins: Record<Side, string>;
  readonly api: Server;
  readonly stop: () => Promise<void>;
}

export class StoreBench {
  readonly folder: string;
  readonly restarts: string[] = [];
  readonly #transport = new Transport(
    createConnections(() => ({}), { connectMs: 2_000 }),
    { headMs: 10_000, silenceMs: 10_000 },
  );
  readonly #parts: Parts;

  private constructor(folder: string, parts: Parts, restarts: string[]) {
    this.folder = folder;
    this.#parts = parts;
    this.restarts = restarts;
  }

  /** @param storage where images are kept, default: in a folder. `env` holds the credentials for it. */
  static async start(storage?: StorageDriver, env: NodeJS.ProcessEnv = {}): Promise<StoreBench> {
    const folder = await mkdtemp(join(tmpdir(), 'larder-store-'));
    const registryProgram = await quietRegistry(folder);
    const trustFolder = join(folder, 'trust');
    await mkdir(trustFolder);
    for (const side of ['reader', 'writer'] as const) await makeLogin(folder, trustFolder, side);
    const trust = await readTrust(trustFolder, silentLogger);
    const ports = { reader: await freeLoopbackPort(), writer: await freeLoopbackPort() };
    const listen = (port: number): { host: string; port: number } => ({ host: '127.0.0.1', port });
    const restarts: string[] = [];
    const supervisor = new Supervisor({
      settings: {
        readerListen: listen(ports.reader),
        writerListen: listen(ports.writer),
        dataFolder: join(folder, 'data'),
        runFolder: join(folder, 'run'),
        registryProgram,
        storage,
        drain: 1_000,
        collectDeadline: 60_000,
      },
      trust,
      clock: systemClock,
      log: silentLogger,
      env: { ...process.env, ...env },
      events: { onRestart: (role) => restarts.push(role), onCollection: () => undefined },
    });
    const running = await supervisor.start();
    const api = createServer(supervisorApi({ supervisor, trust, log: silentLogger }));
    api.listen(0, '127.0.0.1');
    await once(api, 'listening');
    const ready = (): Promise<boolean> =>
      Promise.resolve(supervisor.ready('reader') && supervisor.ready('writer'));
    await waitFor('both registries answer', ready, { deadlineMs: 20_000, intervalMs: 20 });
    const origin = (port: number): string => `http://127.0.0.1:${port}`;
    const origins = { reader: origin(ports.reader), writer: origin(ports.writer) };
    return new StoreBench(folder, { origins, api, stop: () => running.stop() }, restarts);
  }

  async stop(): Promise<void> {
    this.#parts.api.close();
    this.#parts.api.closeAllConnections();
    await this.#parts.stop();
    await this.#transport.close();
    await rm(this.folder, { recursive: true });
  }

  origin(side: Side): string {
    return this.#parts.origins[side];
  }

  client(side: Side, repository: string, login: Side | 'nobody' = side): RepositoryClient {
    const folder = login === 'nobody' ? undefined : join(this.folder, login);
    const authenticator = new StoreAuthenticator(folder);
    return new RepositoryClient({
      transport: this.#transport,
      origin: this.origin(side),
      repository,
      authenticator,
    });
  }

  /** Pushes an image, except for the manifests that are left out. */
  async push(
    repository: string,
    image: TestImage,
    tag: string,
    leftOut: ReadonlySet<string> = new Set(),
  ): Promise<void> {
    const { signal } = new AbortController();
    const client = this.client('writer', repository);
    for (const [digest, bytes] of image.blobs) {
      await uploadBlob(client, { digest, size: bytes.byteLength, body: only(bytes), signal });
    }
    for (const manifest of image.manifests) {
      if (leftOut.has(manifest.digest)) continue;
      const reference = manifest === image.root ? { tag } : { digest: manifest.digest };
      await putManifest(client, reference, manifest, signal);
    }
  }

  async ask(method: 'GET' | 'POST', path: string, signer: Side | 'nobody' = 'writer'): Promise<Response> {
    const { port } = this.#parts.api.address() as AddressInfo;
    const headers: Record<string, string> = {};
    if (signer !== 'nobody') headers['authorization'] = `Bearer ${await this.#token(signer)}`;
    return await fetch(`http://127.0.0.1:${port}${path}`, { method, headers });
  }

  async status(): Promise<StoreStatus> {
    return storeStatusSchema.parse(await (await this.ask('GET', '/status')).json());
  }

  /** Orders a garbage collection and waits for its end. */
  async collect(): Promise<StoreStatus> {
    const before = await this.status();
    await this.ask('POST', '/collect');
    return await waitFor(
      'the collection ends and the writer answers',
      async () => {
        const now = await this.status();
        const isNew = now.lastCollection?.startedAt !== before.lastCollection?.startedAt;
        return isNew && now.state === 'serving' && now.writer.ready && now;
      },
      { deadlineMs: 30_000, intervalMs: 20 },
    );
  }

  async #token(signer: Side): Promise<string> {
    const key = await importPKCS8(
      await readFile(join(this.folder, signer, 'private-key.pem'), 'utf8'),
      'ES256',
    );
    return await new SignJWT()
      .setProtectedHeader({ alg: 'ES256', kid: `${signer}-key` })
      .setIssuer('larder')
      .setAudience('larder-store-supervisor')
      .setExpirationTime('1m')
      .sign(key);
  }
}

/** The registry program, with its access log in a file rather than in the output of the tests. */
async function quietRegistry(folder: string): Promise<string> {
  const script = join(folder, 'registry.sh');
  const lines = ['#!/bin/sh', `exec ${await buildRegistry()} "$@" >>${folder}/registry.log 2>&1`, ''];
  await writeFile(script, lines.join('\n'), { mode: 0o755 });
  return script;
}

/**
 * Makes a key pair: the private key goes into the login's folder, the public one among those that the store
 * trusts.
 */
export async function makeLogin(folder: string, trustFolder: string, side: Side): Promise<void> {
  const { privateKey, publicKey } = await generateKeyPair('ES256', { extractable: true });
  await mkdir(join(folder, side), { recursive: true });
  await writeFile(join(folder, side, 'private-key.pem'), await exportPKCS8(privateKey));
  await writeFile(join(folder, side, 'key-id'), `${side}-key`);
  const jwk = { ...(await exportJWK(publicKey)), kid: `${side}-key`, alg: 'ES256', use: 'sig' };
  await writeFile(join(trustFolder, `${side}.jwks.json`), JSON.stringify({ keys: [jwk] }));
}

async function* only(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield await Promise.resolve(bytes);
}
