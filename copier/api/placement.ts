/**
 * Which replica of the copier a repository belongs to. So what several nodes ask for at the same time is
 * fetched from upstream once, whichever replicas they ask (docs/adr/0005).
 */
import { createHash } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { SERVE_HERE_HEADER } from '../../api/copier-replicas.ts';
import { bracketed } from '../../registry/core/host.ts';
import type { EndpointSlice } from '../../platform/kube/resource.ts';

/**
 * Rendezvous hashing: replicas that know the same others choose the same owner, and when one goes only its
 * repositories move.
 * @param replicas addresses; undefined when there are none
 */
export function ownerOf(repository: string, replicas: Iterable<string>): string | undefined {
  let owner: { readonly replica: string; readonly weight: string } | undefined;
  for (const replica of replicas) {
    const weight = createHash('sha256').update(`${replica} ${repository}`).digest('hex');
    if (owner === undefined || weight > owner.weight) owner = { replica, weight };
  }
  return owner?.replica;
}

/** Addresses of the replicas that are ready. */
export function readyAddresses(slices: Iterable<EndpointSlice>): string[] {
  return [...slices].flatMap(({ endpoints = [] }) =>
    endpoints
      .filter(({ conditions }) => conditions?.ready !== false)
      .flatMap(({ addresses }) => addresses.slice(0, 1)),
  );
}

export interface PlacementOptions {
  /** Our own address; undefined for a copier that is alone. */
  readonly self: string | undefined;
  readonly port: number;
  readonly replicas: () => readonly string[];
}

export class Placement {
  readonly #options: PlacementOptions;

  constructor(options: PlacementOptions) {
    this.#options = options;
  }

  /** Origin of the replica that owns the repository; undefined when this one does, or no other is known. */
  elsewhere(repository: string): string | undefined {
    const { self, port, replicas } = this.#options;
    if (self === undefined) return undefined;
    const owner = ownerOf(repository, replicas());
    if (owner === undefined || owner === self) return undefined;
    return `https://${bracketed(owner)}:${port}`;
  }
}

/**
 * Redirects to the replica that owns the repository, unless that is this one or the client has been there in
 * vain.
 * @returns whether it has redirected: then the request is answered
 */
export function redirectToOwner(
  placement: Placement,
  { request, response }: { readonly request: IncomingMessage; readonly response: ServerResponse },
  repository: string,
): boolean {
  if (request.headers[SERVE_HERE_HEADER] !== undefined) return false;
  const origin = placement.elsewhere(repository);
  if (origin === undefined) return false;
  response.writeHead(307, { location: `${origin}${request.url ?? ''}`, 'content-length': 0 }).end();
  return true;
}
