/** Any HTTP request from a node, as a program with the node's network would send it; certificates are not verified. */
import type { ClusterNode } from '../cluster/cluster-node.ts';

export interface NodeRequest {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** Id of the user that asks, instead of root. */
  readonly user?: number;
}

const script = `
process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0';
const [url, init] = process.argv.slice(1);
try {
  const answer = await fetch(url, { ...JSON.parse(init), signal: AbortSignal.timeout(20000) });
  console.log(JSON.stringify({ status: answer.status, body: await answer.text() }));
} catch (error) {
  console.log(JSON.stringify({ status: 0, body: error.cause?.code ?? String(error) }));
}
`;

/** Status 0 when nobody answers; the body then says why. */
export async function nodeFetch(
  node: ClusterNode,
  url: string,
  { user, ...request }: NodeRequest = {},
): Promise<{ status: number; body: string }> {
  const flags = ['--no-warnings', '--input-type=module', '-e', script];
  const as = user === undefined ? [] : ['setpriv', `--reuid=${user}`, '--clear-groups', '--'];
  const init = JSON.stringify({ redirect: 'manual', ...request });
  const { stdout } = await node.exec([...as, process.execPath, ...flags, url, init]);
  return JSON.parse(stdout) as { status: number; body: string };
}
