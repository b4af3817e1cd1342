/** A part of Larder that the proxy asks over HTTP: the store or the copier. */
import type { Agent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import { LRUCache } from 'lru-cache';
import { ownerFromRedirect, SERVE_HERE_HEADER } from '../../api/copier-replicas.ts';
import type { CircuitBreaker } from '../../platform/circuit-breaker.ts';
import { DeadlineError } from '../../platform/deadline.ts';
import { formatDistributionPath } from '../../registry/core/distribution-path.ts';
import { RegistryError } from '../../registry/core/errors.ts';
import { REQUEST_ID_HEADER } from '../../registry/server/request-handler.ts';
import { requestBlob, type BlobRequest } from '../transfer/blob-stream.ts';
import { LastSign, NoSignOfLife, type HeadDeadlines } from '../transfer/head-deadline.ts';
import { RequestProxy } from '../transfer/proxied-request.ts';
import { discardBody, type OriginResponse } from '../transfer/response.ts';
import type { Pull } from './origin.ts';

export interface PeerOptions {
  readonly name: string;
  readonly target: URL;
  /** What the names of its repositories begin with: empty, or ends with a slash. */
  readonly prefix?: string;
  readonly deadlines: HeadDeadlines;
  /**
   * How long it may give no sign of life when a request is patient (see `Step`), in milliseconds. Default:
   * `deadlines.signMs`.
   */
  readonly patienceMs?: number;
  /** Keeps connections; carries the CA and the server name of a TLS peer. */
  readonly agent: () => Agent;
  readonly credentials: PeerCredentials;
  /** For a peer with replicas, which redirect to one another: remembers which do not answer. */
  readonly replicas?: Replicas;
}

export interface Replicas {
  readonly breaker: CircuitBreaker;
  /** Milliseconds of a clock that never jumps. */
  readonly now: () => number;
}

/** What goes into the Authorization header. Both throw RegistryError. */
export interface PeerCredentials {
  /** Undefined when the peer asks for none. */
  authorization(pull: Pull): Promise<string | undefined>;
  /** Another one, after the peer has refused this one with that response; undefined when there is none. */
  renew(pull: Pull, refused: string | undefined, response: OriginResponse): Promise<string | undefined>;
}

/** How many replicas are remembered: they come and go, and each has another address. */
const MAX_REPLICAS = 100;

/** One request to the peer, whichever of its replicas gets it. */
interface Call {
  readonly pull: Pull;
  /** Ours; they replace the client's of the same name. */
  readonly headers: Readonly<Record<string, string>>;
  readonly isPatient: boolean;
}

export class Peer {
  readonly #options: PeerOptions;
  readonly #proxy = new RequestProxy();
  /** By host: each replica hangs or is busy by itself. */
  readonly #lastSigns = new LRUCache<string, LastSign>({ max: MAX_REPLICAS });

  constructor(options: PeerOptions) {
    this.#options = options;
  }

  /** The response's head, whatever its status. @throws RegistryError when there is none, or not in time */
  async request(pull: Pull, isPatient: boolean): Promise<OriginResponse> {
    const { credentials } = this.#options;
    const shown = await credentials.authorization(pull);
    const response = await this.#sendToOwner(callOf(pull, isPatient, shown));
    if (response.status !== 401) return response;
    const renewed = await credentials.renew(pull, shown, response);
    if (renewed === undefined || renewed === shown) return response;
    discardBody(response);
    return this.#sendToOwner(callOf(pull, isPatient, renewed));
  }

  /** Sends the request to any replica, and if that names another as the owner, to the owner. */
  async #sendToOwner(call: Call): Promise<OriginResponse> {
    const { replicas, target } = this.#options;
    if (replicas === undefined) return this.#send(call);
    const response = await this.#send(call).catch((error: unknown) => this.#sendAgain(call, error));
    const owner = ownerFromRedirect(response.status, response.headers.location, target);
    if (owner === undefined) return response;
    discardBody(response);
    const owned = await this.#tryOwner(call, owner, replicas);
    return owned ?? this.#send({ ...call, headers: { ...call.headers, [SERVE_HERE_HEADER]: '1' } });
  }

  /**
   * Undefined when the owner does not answer: then any other replica has to serve. If the owner is merely
   * silent, only a patient request gives it up, because what it may be fetching would be fetched twice.
   */
  async #tryOwner(call: Call, owner: URL, { breaker, now }: Replicas): Promise<OriginResponse | undefined> {
    const decision = breaker.request(owner.host, now());
    if (decision === 'deny' && !breaker.isProbed(owner.host, now())) return undefined;
    try {
      const response = await this.#send(
        { ...call, isPatient: call.isPatient && decision === 'allow' },
        owner,
      );
      breaker.succeeded(owner.host);
      return response;
    } catch (error) {
      const mayBeBusy = isSilence(error) && decision === 'allow' && !call.isPatient;
      if (mayBeBusy || call.pull.signal.aborted) throw error;
      breaker.failed(owner.host, now());
      return undefined;
    }
  }

  /** The replica may have gone a moment ago: the next connection goes to another. */
  #sendAgain(call: Call, error: unknown): Promise<OriginResponse> {
    const isGone = error instanceof RegistryError && error.reason === 'Unreachable';
    if (!isGone || call.pull.signal.aborted) throw error;
    return this.#send(call);
  }

  /** One HTTP request. @throws RegistryError when there is no response in time */
  async #send({ pull, headers, isPatient }: Call, target = this.#options.target): Promise<OriginResponse> {
    const {
      name,
      agent: currentAgent,
      prefix = '',
      deadlines,
      patienceMs = deadlines.signMs,
    } = this.#options;
    const { path, method, query, response, signal } = pull;
    const agent = currentAgent();
    // `path.name` carries no capability: the peer knows the name without it.
    const request = {
      target,
      path: formatDistributionPath({ ...path, name: prefix + path.name }) + query,
      headers: { ...pull.headers, ...headers },
      peer: name,
      deadlines: isPatient ? { ...deadlines, signMs: patienceMs } : deadlines,
      lastSign: this.#lastSignOf(target),
    };
    try {
      const blob = path.kind === 'blob' && method === 'GET';
      const direct = blob ? await requestDirectly({ ...request, ...tlsOf(agent), signal }) : undefined;
      return direct ?? (await this.#proxy.send({ ...request, method, agent, response }));
    } catch (error) {
      throw unanswered(name, error as Error);
    }
  }

  #lastSignOf({ host }: URL): LastSign {
    const known = this.#lastSigns.get(host) ?? new LastSign();
    this.#lastSigns.set(host, known);
    return known;
  }
}

/** Undefined when the peer does not tell how long the blob is. */
async function requestDirectly(request: BlobRequest): Promise<OriginResponse | undefined> {
  const { stream, ...head } = await requestBlob(request);
  if (Number.isSafeInteger(stream.length)) return { ...head, body: stream };
  stream.destroy();
  return undefined;
}

/** Connections for blobs verify the peer like all others. */
function tlsOf(agent: Agent): Pick<BlobRequest, 'tls'> {
  return agent instanceof HttpsAgent ? { tls: agent.options } : {};
}

function callOf(pull: Pull, isPatient: boolean, credential: string | undefined): Call {
  const authorization = credential === undefined ? {} : { authorization: credential };
  return { pull, isPatient, headers: { [REQUEST_ID_HEADER]: pull.id, ...authorization } };
}

/** Whether an error of `Peer.request` means that the peer hangs, or is very busy. */
export function isSilence(error: unknown): boolean {
  return error instanceof RegistryError && error.cause instanceof NoSignOfLife;
}

function unanswered(name: string, error: Error): RegistryError {
  if (error instanceof DeadlineError) {
    return new RegistryError(`the ${name} does not answer`, { reason: 'TimedOut', cause: error });
  }
  return new RegistryError(`the ${name} cannot be reached`, { reason: 'Unreachable', cause: error });
}
