/** Sends requests to a node's proxy from that node, since it listens only on the node's loopback. */
import type { ClusterNode } from '../cluster/cluster-node.ts';
import { type RawAnswer, sendFrom } from './node-requests.ts';

const DEADLINE_MS = 60_000;

const ACCEPT = [
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
  'application/vnd.docker.distribution.manifest.v2+json',
].join(', ');

export async function proxyFetch(
  node: ClusterNode,
  path: string,
  {
    method = 'GET',
    host = '127.0.0.1',
    port = 7439,
    headers = {},
  }: {
    method?: string;
    host?: string;
    port?: number;
    headers?: Readonly<Record<string, string>>;
  } = {},
): Promise<RawAnswer> {
  const url = `http://${host}:${port}${path}`;
  const asked = { accept: ACCEPT, ...headers };
  return await sendFrom(node, { url, method, headers: asked, deadlineMs: DEADLINE_MS });
}

const timesScript = `
const [url, count, status, accept] = process.argv.slice(1);
// The first use of fetch costs more than what is to be measured.
await fetch(new URL('/v2/', url)).then((answer) => answer.arrayBuffer());
const times = [];
for (let n = 0; n < Number(count); n++) {
  const started = performance.now();
  const answer = await fetch(url, { headers: { accept }, signal: AbortSignal.timeout(60000) });
  await answer.arrayBuffer();
  if (answer.status !== Number(status)) throw new Error('answered ' + answer.status);
  times.push(performance.now() - started);
}
console.log(JSON.stringify(times));
`;

/**
 * Sends requests one after the other; gives how long each took, in milliseconds.
 * @throws when one has another status
 */
export async function proxyTimes(
  node: ClusterNode,
  path: string,
  count: number,
  status = 200,
): Promise<number[]> {
  const url = `http://127.0.0.1:7439${path}`;
  const argv = [
    process.execPath,
    '--input-type=module',
    '-e',
    timesScript,
    url,
    String(count),
    String(status),
    ACCEPT,
  ];
  return JSON.parse((await node.exec(argv)).stdout) as number[];
}
