/** Requests to a peer through http-proxy: all but GET of blobs, which take a shorter way (blob-stream.ts). */
import { IncomingMessage, type Agent, type ClientRequest, type ServerResponse } from 'node:http';
import { createProxyServer } from 'http-proxy';
import { HeadDeadline, type HeadDeadlines, type LastSign } from './head-deadline.ts';
import type { OriginResponse } from './response.ts';

export interface ProxiedRequest {
  readonly method: 'GET' | 'HEAD';
  readonly target: URL;
  /** Path and query. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly agent: Agent;
  /** To the client: when its connection ends, so does the request to the peer. */
  readonly response: ServerResponse;
  /** The peer's name, for errors. */
  readonly peer: string;
  readonly deadlines: HeadDeadlines;
  /** Of the peer: what it sends here is a sign of life for its other requests. */
  readonly lastSign: LastSign;
}

interface Attempt {
  readonly onRequest: (request: ClientRequest) => void;
  readonly onResponse: (response: IncomingMessage) => void;
  readonly onClientGone: (error: Error) => void;
}

/** http-proxy drops hop-by-hop headers, and ends the request to the peer when the client leaves. */
export class RequestProxy {
  /** By the request that the library was given, a new one each time: its events name that. */
  readonly #attempts = new WeakMap<IncomingMessage, Attempt>();
  readonly #proxy = createProxyServer({ changeOrigin: true, selfHandleResponse: true });

  constructor() {
    this.#proxy.on('proxyReq', (outgoing, request) => this.#attempts.get(request)?.onRequest(outgoing));
    this.#proxy.on('proxyRes', (response, request) => this.#attempts.get(request)?.onResponse(response));
    this.#proxy.on('econnreset', (error, request) => this.#attempts.get(request)?.onClientGone(error));
  }

  /** The response's head, whatever its status. @throws DeadlineError, or the connection's error */
  send({
    response,
    agent,
    target,
    path,
    peer,
    deadlines,
    lastSign,
    ...head
  }: ProxiedRequest): Promise<OriginResponse> {
    const { promise, resolve, reject } = Promise.withResolvers<OriginResponse>();
    const request = bodiless(head, response);
    let deadline: HeadDeadline | undefined;
    const fail = (error: Error): void => {
      deadline?.stop();
      reject(error);
    };
    this.#attempts.set(request, {
      onRequest: (outgoing) => {
        deadline = new HeadDeadline({
          ...deadlines,
          peer,
          lastSign,
          onLate: (error) => outgoing.destroy(error),
        });
        outgoing.once('information', () => deadline?.signOfLife());
      },
      onResponse: (answer) => {
        deadline?.stop();
        lastSign.heard();
        resolve({ status: answer.statusCode ?? 0, headers: answer.headers, body: answer });
      },
      onClientGone: fail,
    });
    const options = { target: new URL(path, target), ignorePath: true, agent };
    this.#proxy.web(request, response, options, fail);
    return promise;
  }
}

/**
 * The request that http-proxy is to send. It is made anew, so that nothing which frames the client's message
 * (a length, a coding, a body) gets onto a connection that other clients' requests share.
 */
function bodiless(
  { method, headers }: Pick<ProxiedRequest, 'method' | 'headers'>,
  { req: { socket } }: ServerResponse,
): IncomingMessage {
  const request = new IncomingMessage(socket);
  request.method = method;
  request.headers = { ...headers };
  request.push(null);
  // A request that ends incomplete would destroy the client's connection.
  request.complete = true;
  return request;
}
