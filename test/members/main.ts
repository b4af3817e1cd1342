/** A registry for members only: CNCF distribution, a token server, and a listener for tests to push to. */
import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { exportJWK, generateKeyPair } from 'jose';
import { tokenHandler } from './token-server.ts';

export interface MembersSettings {
  readonly folder: string;
  readonly registry: string;
  readonly address: string;
  readonly ports: { readonly registry: number; readonly open: number; readonly tokens: number };
}

const { folder, registry, address, ports } = JSON.parse(process.argv[2] ?? '') as MembersSettings;
const [issuer, service, keyId] = ['members', 'members-registry', 'members-key'];

const { privateKey, publicKey } = await generateKeyPair('ES256');
const jwks = join(folder, 'jwks.json');
writeFileSync(
  jwks,
  JSON.stringify({ keys: [{ ...(await exportJWK(publicKey)), kid: keyId, alg: 'ES256', use: 'sig' }] }),
);
const realm = `http://${address}:${ports.tokens}/token`;
const token = { realm, service, issuer, jwks, signingalgorithms: ['ES256'] };

function serve(name: string, port: number, auth: object): void {
  const config = {
    version: '0.1',
    log: { level: 'warn', formatter: 'json', accesslog: { disabled: false } },
    storage: { filesystem: { rootdirectory: join(folder, 'registry') }, cache: {} },
    http: { addr: `:${port}` },
    ...auth,
  };
  const file = join(folder, `${name}.json`);
  writeFileSync(file, JSON.stringify(config));
  const child = spawn(registry, ['serve', file], { stdio: 'inherit' });
  child.once('exit', (code) => process.exit(code ?? 1));
  process.once('exit', () => child.kill());
}

process.once('SIGTERM', () => process.exit(0));

serve('guarded', ports.registry, { auth: { token } });
serve('open', ports.open, {});
const [membersFile, logFile] = [join(folder, 'members.json'), join(folder, 'tokens.log')];
createServer(tokenHandler({ membersFile, logFile, key: privateKey, keyId, issuer, service })).listen(
  ports.tokens,
);
