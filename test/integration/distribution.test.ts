/** CNCF distribution, configured as the store configures it, passes the suite of the fake. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { exportJWK, exportPKCS8, generateKeyPair } from 'jose';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { buildRegistry } from '../../build/programs.ts';
import { createConnections } from '../../registry/transport/http/connector.ts';
import { StoreAuthenticator } from '../../registry/transport/auth/store-login.ts';
import { Transport } from '../../registry/transport/transport.ts';
import { registrySuite } from '../conformance/registry-suite.ts';
import { freeLoopbackPort } from '../../platform/ports.ts';

registrySuite('CNCF distribution with tokens signed by our own login', async () => {
  const program = await buildRegistry();
  const folder = await mkdtemp(join(tmpdir(), 'larder-distribution-'));
  const login = join(folder, 'login');
  await mkdir(login);
  const { privateKey, publicKey } = await generateKeyPair('ES256', { extractable: true });
  await writeFile(join(login, 'private-key.pem'), await exportPKCS8(privateKey));
  await writeFile(join(login, 'key-id'), 'test-key');
  const jwk = { ...(await exportJWK(publicKey)), kid: 'test-key', alg: 'ES256', use: 'sig' };
  await writeFile(join(folder, 'jwks.json'), JSON.stringify({ keys: [jwk] }));

  const port = await freeLoopbackPort();
  const config = join(folder, 'config.json');
  await writeFile(config, JSON.stringify(configuration(folder, port)));
  const child = spawn(program, ['serve', config], { stdio: 'ignore' });
  const exited = once(child, 'exit');
  const origin = `http://127.0.0.1:${port}`;
  await untilServing(origin, exited);
  const transport = new Transport(
    createConnections(() => ({}), { connectMs: 1000 }),
    { headMs: 5000, silenceMs: 5000 },
  );
  return {
    origin,
    transport,
    authenticator: new StoreAuthenticator(login),
    close: async () => {
      await transport.close();
      child.kill();
      await exited;
      await rm(folder, { recursive: true });
    },
  };
});

/** JSON is YAML too. */
function configuration(folder: string, port: number): object {
  return {
    version: 0.1,
    log: { level: 'error', accesslog: { disabled: true } },
    storage: { filesystem: { rootdirectory: join(folder, 'data') }, delete: { enabled: true } },
    http: { addr: `127.0.0.1:${port}`, relativeurls: true },
    auth: {
      token: {
        realm: 'http://127.0.0.1/unused',
        service: 'larder-store',
        issuer: 'larder',
        jwks: join(folder, 'jwks.json'),
        signingalgorithms: ['ES256'],
      },
    },
    validation: { manifests: { indexes: { platforms: 'none' }, urls: { allow: ['^https?://'] } } },
  };
}

/** @throws Error when the program ends instead */
async function untilServing(origin: string, exited: Promise<unknown>): Promise<void> {
  const ended = exited.then(() => {
    throw new Error('distribution ended before it served');
  });
  for (;;) {
    const answered = await Promise.race([ended, isServing(origin)]);
    if (answered) return;
    await setTimeout(20);
  }
}

async function isServing(origin: string): Promise<boolean> {
  try {
    return (await fetch(`${origin}/v2/`, { signal: AbortSignal.timeout(1000) })).status === 401;
  } catch {
    return false;
  }
}
