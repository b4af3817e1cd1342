/** What a client wants to pull, and the interface of those that may have it. */
import type { ServerResponse } from 'node:http';
import type { PullRequest } from '../../registry/server/pull-request.ts';
import type { OriginResponse } from '../transfer/response.ts';
import type { Failure } from './plan.ts';

/** One pull of the node's runtime, as the origins see it. */
export interface Pull extends PullRequest {
  readonly id: string;
  /** The client's headers that an origin may see. */
  readonly headers: Readonly<Record<string, string>>;
  /** To the client. Nothing has been sent yet. */
  readonly response: ServerResponse;
  /** Aborted when the client has gone. */
  readonly signal: AbortSignal;
}

/** The store, the copier or an upstream registry: it may have what is asked for. */
export interface Origin {
  /**
   * A response to pass on to the client, or why there is none. Does not throw.
   * @param isPatient see `Step`
   */
  ask(pull: Pull, isPatient: boolean): Promise<OriginResponse | Failure>;
}
