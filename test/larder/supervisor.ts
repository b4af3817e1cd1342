/**
 * Talks to the store's supervisor as the controller does, with a token signed by the key of the writing
 * login.
 */
import { importPKCS8, SignJWT } from 'jose';
import type { Cluster } from '../cluster/cluster.ts';
import { NAMESPACE, RELEASE } from './install.ts';
import { nodeFetch } from './node-fetch.ts';
import { podsOf } from './parts.ts';

export interface StoreStatus {
  readonly state: string;
  readonly volume: { readonly usedBytes: number } | null;
  readonly lastCollection: { readonly startedAt: string; readonly freedBytes: number | null } | null;
}

async function token(cluster: Cluster): Promise<string> {
  const where = { namespace: NAMESPACE, name: `${RELEASE}-store-writer` };
  const { data } = await cluster.read<{ data: Readonly<Record<string, string>> }>('v1/secrets', where);
  const read = (key: string): string => Buffer.from(data[key] ?? '', 'base64').toString();
  return await new SignJWT()
    .setProtectedHeader({ alg: 'ES256', kid: read('key-id').trim() })
    .setIssuer('larder')
    .setAudience('larder-store-supervisor')
    .setIssuedAt()
    .setExpirationTime('1m')
    .sign(await importPKCS8(read('private-key.pem'), 'ES256'));
}

async function ask(cluster: Cluster, method: string, path: string): Promise<StoreStatus> {
  const [store] = await podsOf(cluster, 'store');
  const headers = { authorization: `Bearer ${await token(cluster)}` };
  const url = `http://${store?.address ?? ''}:5002${path}`;
  const answer = await nodeFetch(cluster.node(1), url, { method, headers });
  if (answer.status < 200 || answer.status >= 300)
    throw new Error(`${path} answered ${answer.status}: ${answer.body}`);
  return JSON.parse(answer.body) as StoreStatus;
}

/** Has garbage collected and waits for the end. */
export async function collect(cluster: Cluster): Promise<StoreStatus> {
  const before = await ask(cluster, 'POST', '/collect');
  return await cluster.waitFor(
    'the collection ends',
    async () => {
      const now = await ask(cluster, 'GET', '/status');
      const isNew = now.lastCollection?.startedAt !== before.lastCollection?.startedAt;
      return now.state === 'serving' && isNew && now;
    },
    { deadlineMs: 30_000, intervalMs: 200 },
  );
}
