/** Asks a node's proxy as a program on that node would: it listens on the node's loopback only. */
import type { ClusterNode } from '../cluster/cluster-node.ts';

export interface ProxyAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

const script = `
const [url, method, headers] = process.argv.slice(1);
const answer = await fetch(url, { method, headers: JSON.parse(headers), signal: AbortSignal.timeout(60000) });
const body = Buffer.from(await answer.arrayBuffer()).toString('base64');
console.log(JSON.stringify({ status: answer.status, headers: Object.fromEntries(answer.headers), body }));
`;

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
): Promise<ProxyAnswer> {
  const argv = [
    process.execPath,
    '--input-type=module',
    '-e',
    script,
    `http://${host}:${port}${path}`,
    method,
    JSON.stringify({ accept: ACCEPT, ...headers }),
  ];
  const { stdout } = await node.exec(argv);
  const answer = JSON.parse(stdout) as { status: number; headers: Record<string, string>; body: string };
  return { ...answer, body: Buffer.from(answer.body, 'base64') };
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

/** Asks one time after the other; gives how long each answer took, in milliseconds. @throws when one has another status */
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
