/**
 * Sends an HTTP request from a node, as a program in the node's network would; certificates are not verified.
 */
import type { ClusterNode } from '../cluster/cluster-node.ts';
import { RequestError, sendFrom } from './node-requests.ts';

export interface NodeRequest {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** Id of the user that sends it; default: root. */
  readonly user?: number;
}

const DEADLINE_MS = 20_000;

/** The status is 0 if nobody answers; the body then says why. */
export async function nodeFetch(
  node: ClusterNode,
  url: string,
  { user, method = 'GET', headers = {}, body }: NodeRequest = {},
): Promise<{ status: number; body: string }> {
  try {
    const answer = await sendFrom(node, { url, method, headers, body, deadlineMs: DEADLINE_MS }, user);
    return { status: answer.status, body: answer.body.toString() };
  } catch (error) {
    if (error instanceof RequestError) return { status: 0, body: error.code };
    throw error;
  }
}
