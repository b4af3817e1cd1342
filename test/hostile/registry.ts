/**
 * A registry that has an image for every name, and misbehaves once it is armed, as the first part of a
 * repository's name says. `POST /hostile/arm` and `/hostile/disarm` switch it; `GET /hostile/requests`
 * returns the requests so far.
 */
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import { HostileContent } from './content.ts';
import { faultOf, refuse } from './faults.ts';
import { type Found, sendContent } from './send.ts';

export interface Asked {
  readonly method: string;
  readonly path: string;
  readonly range?: string;
}

const ROUTE = /^\/v2\/(.+)\/(manifests|blobs)\/([^/?]+)$/;
/** Repositories below this name require a token from our own token server. */
const TOKEN_PREFIX = 'token/';
const TOKEN = 'a-token-of-the-hostile-registry';

export class HostileRegistry {
  readonly #content = new HostileContent();
  readonly #deadHost: string;
  readonly #onSwitch: (armed: boolean) => void;
  readonly #asked: Asked[] = [];
  #armed = false;

  /** @param onSwitch called on arming and disarming, for faults that do not concern single requests */
  constructor(deadHost: string, onSwitch: (armed: boolean) => void = () => undefined) {
    this.#deadHost = deadHost;
    this.#onSwitch = onSwitch;
  }

  readonly handle: RequestListener = (request, response) => {
    void this.#handle(request, response).catch((error: unknown) => {
      console.error(error);
      response.destroy();
    });
  };

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = 'GET', url = '/', headers } = request;
    if (url.startsWith('/hostile/')) {
      this.#control(url, response);
      return;
    }
    this.#asked.push({ method, path: url, ...(headers.range === undefined ? {} : { range: headers.range }) });
    if (url.startsWith('/token')) {
      this.#giveToken(request, response);
      return;
    }
    const [, repository = '', kind = '', reference = ''] = ROUTE.exec(decodeURIComponent(url)) ?? [];
    if (this.#wantsToken(repository, headers.authorization)) {
      const challenge = `Bearer realm="http://${headers.host ?? ''}/token",service="hostile"`;
      refuse(response, 401, 'UNAUTHORIZED', { 'www-authenticate': challenge });
      return;
    }
    const found = this.#find(repository, kind, reference);
    const exchange = { request, response, found, deadHost: this.#deadHost };
    await (this.#armed ? faultOf(repository)(exchange) : sendContent(exchange));
  }

  #giveToken(request: IncomingMessage, response: ServerResponse): void {
    if (this.#armed) request.socket.resetAndDestroy();
    else
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ token: TOKEN }));
  }

  #wantsToken(repository: string, authorization: string | undefined): boolean {
    return repository.startsWith(TOKEN_PREFIX) && (this.#armed || authorization !== `Bearer ${TOKEN}`);
  }

  #find(repository: string, kind: string, reference: string): Found | undefined {
    if (repository === '') return undefined;
    const content =
      kind === 'blobs'
        ? this.#content.blob(repository, reference)
        : this.#content.manifest(repository, reference);
    return content && { kind: kind === 'blobs' ? 'blob' : 'manifest', content };
  }

  #control(url: string, response: ServerResponse): void {
    if (url === '/hostile/requests') {
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(this.#asked));
      return;
    }
    this.#armed = url === '/hostile/arm';
    this.#onSwitch(this.#armed);
    response.writeHead(204).end();
  }
}
