/** One repository at one endpoint. Reading and writing blobs and manifests send their requests through it. */
import { type DistributionPath, formatDistributionPath } from '../core/distribution-path.ts';
import type { Authenticator } from '../transport/auth/authenticator.ts';
import type { Action, Scope } from '../transport/auth/scope.ts';
import type { Deadlines, HttpRequest, HttpResponse } from '../transport/http/messages.ts';
import type { Lane } from '../transport/pace.ts';
import type { Transport } from '../transport/transport.ts';

export interface RepositoryOptions {
  readonly transport: Transport;
  /** Scheme, host and port. */
  readonly origin: string;
  readonly repository: string;
  readonly authenticator: Authenticator;
  readonly lane?: Lane;
  /** Replace the transport's own. */
  readonly deadlines?: Partial<Deadlines>;
}

export interface RepositoryRequest {
  readonly method: HttpRequest['method'];
  readonly url: URL;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: HttpRequest['body'];
  readonly bulk?: HttpRequest['bulk'];
  readonly actions: readonly Action[];
  /** Another repository that the request reads, to mount from it. */
  readonly readFrom?: string | undefined;
  readonly accept: readonly number[];
  readonly signal: AbortSignal;
}

/** Omit, applied to each member of a union. */
type WithoutName<T> = T extends unknown ? Omit<T, 'name'> : never;

export class RepositoryClient {
  readonly repository: string;
  readonly origin: string;
  readonly #options: RepositoryOptions;

  constructor(options: RepositoryOptions) {
    this.#options = options;
    this.repository = options.repository;
    this.origin = options.origin;
  }

  /** The URL of something in this repository. */
  url(path: WithoutName<Exclude<DistributionPath, { kind: 'base' }>>): URL {
    return new URL(formatDistributionPath({ ...path, name: this.repository }), this.origin);
  }

  /** @throws RegistryError unless the response's status is among the accepted ones */
  async send(request: RepositoryRequest): Promise<HttpResponse> {
    const { actions, readFrom, headers = {}, body, bulk = false, ...rest } = request;
    const { transport, authenticator, repository, lane, deadlines = {} } = this.#options;
    const scopes: Scope[] = [{ repository, actions }];
    if (readFrom !== undefined) scopes.push({ repository: readFrom, actions: ['pull'] });
    return await transport.send({
      ...rest,
      headers,
      authenticator,
      scopes,
      bulk,
      ...(lane === undefined ? {} : { lane }),
      ...(body === undefined ? {} : { body }),
      deadlines,
    });
  }
}
