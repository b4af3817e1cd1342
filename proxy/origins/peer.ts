/** A part of Larder that the proxy asks over HTTP: the store or the copier. */
import type { Agent, ClientRequest, IncomingMessage } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import { LRUCache } from 'lru-cache';
import { SERVE_HERE_HEADER } from '../../api/copier-headers.ts';
import type { CircuitBreaker } from '../../platform/circuit-breaker.ts';
import { createProxyServer } from 'http-proxy';
import { DeadlineError } from '../../platform/deadline.ts';
import { formatDistributionPath } from '../../registry/core/distribution-path.ts';
import { RegistryError } from '../../registry/core/errors.ts';
import { discard, forwardedHeaders, type Answer, type Exchange } from '../transfer/response.ts';
import { openBlob, type BlobRequest } from '../transfer/blob-stream.ts';
import { HeadDeadline, LastSign, NoSignOfLife, type HeadDeadlines } from '../transfer/head-deadline.ts';

export interface PeerOptions {
  readonly name: string;
  readonly target: URL;
  /** Of the names of its repositories: empty, or ends with a slash. */
  readonly prefix?: string;
  readonly deadlines: HeadDeadlines;
  /** How long it may give no sign of life to who asks it patiently, in milliseconds; default: no longer than to others. */
  readonly patienceMs?: number;
  /** Keeps connections; carries the CA and the server name of a TLS peer. */
  readonly agent: () => Agent;
  readonly credentials: PeerCredentials;
  /** For a peer of several replicas, any of which may send us to another: whether those others answer. */
  readonly replicas?: { readonly breaker: CircuitBreaker; readonly now: () => number };
}

/** What goes into the Authorization header. Both throw RegistryError. */
export interface PeerCredentials {
  /** Undefined when nothing has to be shown. */
  authorization(exchange: Exchange): Promise<string | undefined>;
  /** Another one after the peer has refused this one by that answer; undefined when there is none. */
  renew(exchange: Exchange, refused: string | undefined, answer: Answer): Promise<string | undefined>;
}

/** Addresses come and go with the replicas; so many are remembered. */
const MAX_REPLICAS = 100;

/** One request to the peer, whichever of its replicas gets it. */
interface Call {
  readonly exchange: Exchange;
  /** Ours, over the client's. */
  readonly headers: Readonly<Record<string, string>>;
  readonly isPatient: boolean;
}

interface Attempt {
  onRequest(request: ClientRequest): void;
  onAnswer(answer: IncomingMessage): void;
}

/** Goes through http-proxy but for the bulk of the bytes (see blob-stream.ts): it keeps hop-by-hop headers apart and ends the
 * peer's request when the client leaves. */
export class Peer {
  readonly #options: PeerOptions;
  /** The library's events name the client's request only, and a client's request has one attempt at a time. */
  readonly #attempts = new WeakMap<IncomingMessage, Attempt>();
  /** By host: each replica hangs or is busy by itself. */
  readonly #lastSigns = new LRUCache<string, LastSign>({ max: MAX_REPLICAS });
  readonly #proxy = createProxyServer({ changeOrigin: true, selfHandleResponse: true });

  constructor(options: PeerOptions) {
    this.#options = options;
    this.#proxy.on('proxyReq', (outgoing, request) => this.#attempts.get(request)?.onRequest(outgoing));
    this.#proxy.on('proxyRes', (answer, request) => this.#attempts.get(request)?.onAnswer(answer));
  }

  /** The answer's head, whatever its status. @throws RegistryError when there is none, or not in time */
  async open(exchange: Exchange, isPatient: boolean): Promise<Answer> {
    const { credentials } = this.#options;
    const shown = await credentials.authorization(exchange);
    const answer = await this.#ask(callOf(exchange, isPatient, shown));
    if (answer.status !== 401) return answer;
    const renewed = await credentials.renew(exchange, shown, answer);
    if (renewed === undefined || renewed === shown) return answer;
    discard(answer);
    return this.#ask(callOf(exchange, isPatient, renewed));
  }

  async #ask(call: Call): Promise<Answer> {
    const answer = await this.#send(call).catch((error: unknown) => this.#sendAgain(call, error));
    return answer.status === 307 ? this.#askOwner(call, answer) : answer;
  }

  /**
   * Goes where the answer points to. When nobody answers there, comes back and is served by whoever gets the request; but an owner that is
   * merely silent is given up by the patient only: what it is fetching would be fetched twice.
   */
  async #askOwner(call: Call, answer: Answer): Promise<Answer> {
    const { replicas, target } = this.#options;
    const owner = originOf(answer.headers.location);
    // Whoever it is, it has to show our peer's certificate before it sees our credential.
    if (replicas === undefined || owner?.protocol !== target.protocol) return answer;
    discard(answer);
    const { breaker, now } = replicas;
    const decision = breaker.request(owner.host, now());
    if (decision !== 'deny' || breaker.isProbed(owner.host, now())) {
      try {
        const owned = await this.#send({ ...call, isPatient: call.isPatient && decision === 'allow' }, owner);
        breaker.succeeded(owner.host);
        return owned;
      } catch (error) {
        const mayBeBusy = isSilence(error) && decision === 'allow' && !call.isPatient;
        if (mayBeBusy || call.exchange.signal.aborted) throw error;
        breaker.failed(owner.host, now());
      }
    }
    return this.#send({ ...call, headers: { ...call.headers, [SERVE_HERE_HEADER]: '1' } });
  }

  /** Of several replicas one may have gone a moment ago: the next connection goes to another. */
  #sendAgain(call: Call, error: unknown): Promise<Answer> {
    const isGone = error instanceof RegistryError && error.reason === 'Unreachable';
    if (this.#options.replicas === undefined || !isGone || call.exchange.signal.aborted) throw error;
    return this.#send(call);
  }

  async #send(call: Call, target = this.#options.target): Promise<Answer> {
    const { path, request } = call.exchange;
    const isBlob = path.kind === 'blob' && request.method === 'GET';
    const direct = isBlob ? await this.#askDirectly(call, target) : undefined;
    return direct ?? this.#attempt(call, target);
  }

  /** Undefined when the peer does not tell how long the blob is. */
  async #askDirectly(call: Call, target: URL): Promise<Answer | undefined> {
    const { exchange, headers } = call;
    const { request, signal } = exchange;
    const { name, agent } = this.#options;
    try {
      const { stream, ...head } = await openBlob({
        target,
        ...tlsOf(agent()),
        peer: name,
        path: this.#pathOf(exchange),
        headers: { ...forwardedHeaders(request), ...headers },
        deadlines: this.#deadlinesOf(call),
        lastSign: this.#lastSignOf(target),
        signal,
      });
      if (Number.isSafeInteger(stream.length)) return { ...head, body: stream };
      stream.destroy();
      return undefined;
    } catch (error) {
      throw unanswered(name, error as Error);
    }
  }

  #deadlinesOf({ isPatient }: Call): HeadDeadlines {
    const { deadlines, patienceMs = deadlines.signMs } = this.#options;
    return isPatient ? { ...deadlines, signMs: patienceMs } : deadlines;
  }

  #lastSignOf({ host }: URL): LastSign {
    const known = this.#lastSigns.get(host) ?? new LastSign();
    this.#lastSigns.set(host, known);
    return known;
  }

  async #attempt(call: Call, target: URL): Promise<Answer> {
    const { exchange, headers } = call;
    const { name, agent } = this.#options;
    const { promise, resolve, reject } = Promise.withResolvers<Answer>();
    const lastSign = this.#lastSignOf(target);
    let deadline: HeadDeadline | undefined;
    this.#attempts.set(exchange.request, {
      onRequest: (outgoing) => {
        deadline = new HeadDeadline({
          ...this.#deadlinesOf(call),
          peer: name,
          lastSign,
          onLate: (error) => outgoing.destroy(error),
        });
        outgoing.once('socket', (socket) => {
          // Only a process that lives takes part in the handshake.
          if (socket.connecting) socket.once('secureConnect', () => deadline?.signOfLife());
        });
        outgoing.once('information', () => deadline?.signOfLife());
      },
      onAnswer: (answer) => {
        deadline?.stop();
        lastSign.heard();
        resolve({ status: answer.statusCode ?? 0, headers: answer.headers, body: answer });
      },
    });
    const options = {
      target: new URL(this.#pathOf(exchange), target),
      ignorePath: true,
      agent: agent(),
      headers,
    };
    this.#proxy.web(exchange.request, exchange.response, options, (error) => {
      deadline?.stop();
      reject(unanswered(name, error));
    });
    return promise;
  }

  /** What the peer is asked for, with the query. */
  #pathOf({ path, request: { url = '' } }: Exchange): string {
    const query = url.indexOf('?');
    const { prefix = '' } = this.#options;
    return (
      formatDistributionPath({ ...path, name: prefix + path.name }) + (query < 0 ? '' : url.slice(query))
    );
  }
}

/** Its connections for blobs are verified like the others. */
function tlsOf(agent: Agent): Pick<BlobRequest, 'tls'> {
  return agent instanceof HttpsAgent ? { tls: agent.options } : {};
}

function originOf(location: unknown): URL | undefined {
  return typeof location === 'string' && URL.canParse(location)
    ? new URL(new URL(location).origin)
    : undefined;
}

function callOf(exchange: Exchange, isPatient: boolean, credential: string | undefined): Call {
  const authorization = credential === undefined ? {} : { authorization: credential };
  return { exchange, isPatient, headers: { 'x-request-id': exchange.id, ...authorization } };
}

/** Of what `Peer.open` throws: the peer hangs, or is very busy. */
export function isSilence(error: unknown): boolean {
  return error instanceof RegistryError && error.cause instanceof NoSignOfLife;
}

function unanswered(name: string, error: Error): RegistryError {
  if (error instanceof DeadlineError) {
    return new RegistryError(`the ${name} does not answer`, { reason: 'TimedOut', cause: error });
  }
  return new RegistryError(`the ${name} cannot be reached`, { reason: 'Unreachable', cause: error });
}
