/**
 * Sends orders to the copier over TLS; its answers become results, and whatever goes wrong becomes an
 * OrderFailed.
 */
import { readFile } from 'node:fs/promises';
import { Agent, type Dispatcher, request } from 'undici';
import {
  CHECK_PATH,
  type CheckAnswer,
  checkAnswerSchema,
  COPY_PATH,
  type CopyEvent,
  copyEventSchema,
  type CopyOrderJson,
  DELETE_PATH,
  parseMessage,
  VERIFY_PATH,
  verifyAnswerSchema,
} from '../../api/copier-api.ts';
import { ownerFromRedirect, SERVE_HERE_HEADER } from '../../api/copier-replicas.ts';
import type { StoredImage } from '../../api/stored-image.ts';
import { formatReference } from '../../registry/core/reference.ts';
import type { JobProgress } from './job-state.ts';
import { lines } from './lines.ts';
import { type CopyRequest, type CopyResult, OrderFailed, type VerifyResult } from './orders.ts';

export interface CopierClientOptions {
  readonly url: URL;
  /** The name in the copier's certificate; the URL holds only an address. */
  readonly serverName: string;
  /** The CAs to trust, in PEM. Called for every order, because they are renewed. */
  readonly ca: () => string;
  /** Our ServiceAccount token. Called for every order, because it is renewed. */
  readonly token: () => Promise<string>;
  /** Called before every order; throws when we no longer lead. */
  readonly beforeOrder: () => void;
  /** How long the copier may take to answer, and how long it may pause while it answers, in milliseconds. */
  readonly silenceMs: number;
}

/** Reads the token from a file that the kubelet renews. */
export function tokenFrom(path: string): () => Promise<string> {
  return async () => (await readFile(path, 'utf8')).trim();
}

export class CopierClient {
  readonly #options: CopierClientOptions;
  #agent: { readonly ca: string; readonly dispatcher: Agent } | undefined;

  constructor(options: CopierClientOptions) {
    this.#options = options;
  }

  /**
   * Copies an image. Aborting the signal cancels the order at the copier as well.
   * @throws OrderFailed; the signal's reason when it is aborted
   */
  readonly copy = async (
    order: CopyRequest,
    signal: AbortSignal,
    onProgress: (progress: JobProgress) => void,
  ): Promise<CopyResult> => {
    const body = await this.#post(COPY_PATH, orderJson(order), signal);
    try {
      for await (const line of lines(body)) {
        const event = parseEvent(line);
        if (event.type === 'done') return event;
        if (event.type === 'failed') throw failureOf(event);
        onProgress(event);
      }
    } catch (error) {
      signal.throwIfAborted();
      throw error instanceof OrderFailed ? error : unavailable('the copier broke off its answer', error);
    }
    throw unavailable('the copier ended its answer before the copy was done');
  };

  /**
   * Asks upstream whether it serves the image, and which digest.
   * @throws OrderFailed; the signal's reason when it is aborted
   */
  readonly check = async (order: CopyRequest, signal: AbortSignal): Promise<CheckAnswer> => {
    const { image, tenant, pullSecrets, referrers } = orderJson(order);
    const question = { image, tenant, pullSecrets, referrers };
    return parseMessage(checkAnswerSchema, await this.#ask(CHECK_PATH, question, signal));
  };

  /**
   * Asks the store whether it holds all of the image.
   * @throws OrderFailed; the signal's reason when it is aborted
   */
  readonly verify = async (order: CopyRequest, signal: AbortSignal): Promise<VerifyResult> => {
    const { image, tenant, platforms } = orderJson(order);
    const question = { image, tenant, platforms };
    const answer = parseMessage(verifyAnswerSchema, await this.#ask(VERIFY_PATH, question, signal));
    return { ...answer, requested: order.platforms };
  };

  /**
   * Deletes what the store holds for an image.
   * @throws OrderFailed; the signal's reason when it is aborted
   */
  readonly remove = async ({ reference, tenant }: StoredImage, signal: AbortSignal): Promise<void> => {
    const order = { image: formatReference(reference), ...(tenant === undefined ? {} : { tenant }) };
    await (await this.#post(DELETE_PATH, order, signal)).dump();
  };

  async close(): Promise<void> {
    await this.#agent?.dispatcher.close();
  }

  async #ask(path: string, order: object, signal: AbortSignal): Promise<unknown> {
    const body = await this.#post(path, order, signal);
    try {
      return await body.json();
    } catch (error) {
      signal.throwIfAborted();
      throw unavailable('the copier broke off its answer', error);
    }
  }

  async #post(path: string, order: object, signal: AbortSignal): Promise<Dispatcher.ResponseData['body']> {
    const answer = await this.#sendToOwner(path, order, signal);
    if (answer.statusCode === 200 || answer.statusCode === 204) return answer.body;
    await answer.body.dump();
    if (answer.statusCode === 400)
      throw new OrderFailed('the copier does not understand the order', 'Internal');
    throw unavailable(`the copier answered with status ${answer.statusCode}`);
  }

  /**
   * A replica that does not own the image names the one that does. When that does not answer, the first is
   * asked to do it itself.
   */
  async #sendToOwner(path: string, order: object, signal: AbortSignal): Promise<Dispatcher.ResponseData> {
    const { url } = this.#options;
    const answer = await this.#send(new URL(path, url), order, signal);
    const owner = ownerFromRedirect(answer.statusCode, answer.headers['location'], url);
    if (owner === undefined) return answer;
    await answer.body.dump();
    try {
      // Over TLS, so the owner must prove that it is a copier before it sees our token.
      return await this.#send(new URL(path, owner), order, signal);
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof OrderFailed)) throw error;
    }
    return await this.#send(new URL(path, url), order, signal, { [SERVE_HERE_HEADER]: '1' });
  }

  async #send(
    url: URL,
    order: object,
    signal: AbortSignal,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<Dispatcher.ResponseData> {
    const token = await this.#options.token();
    this.#options.beforeOrder();
    try {
      return await request(url, {
        dispatcher: this.#dispatcher(),
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          authorization: `Bearer ${token}`,
          ...headers,
        },
        body: JSON.stringify(order),
        headersTimeout: this.#options.silenceMs,
        bodyTimeout: this.#options.silenceMs,
        signal,
      });
    } catch (error) {
      signal.throwIfAborted();
      throw unavailable('the copier cannot be reached', error);
    }
  }

  #dispatcher(): Dispatcher {
    const ca = this.#options.ca();
    if (this.#agent?.ca !== ca) {
      // Orders under way keep the old agent until they end.
      void this.#agent?.dispatcher.close();
      const connect = { ca, servername: this.#options.serverName, timeout: 5_000 };
      this.#agent = { ca, dispatcher: new Agent({ connect, allowH2: false }) };
    }
    return this.#agent.dispatcher;
  }
}

function orderJson({ reference, tenant, platforms, pullSecrets, referrers }: CopyRequest): CopyOrderJson {
  return {
    image: formatReference(reference),
    ...(tenant === undefined ? {} : { tenant }),
    platforms: [...platforms],
    pullSecrets: [...pullSecrets],
    ...(referrers === undefined ? {} : { referrers }),
  };
}

function parseEvent(line: string): CopyEvent {
  return parseMessage(copyEventSchema, JSON.parse(line));
}

function failureOf({
  message,
  reason,
  retryAfterSeconds,
}: Extract<CopyEvent, { type: 'failed' }>): OrderFailed {
  return new OrderFailed(message, reason, retryAfterSeconds === undefined ? {} : { retryAfterSeconds });
}

function unavailable(message: string, cause?: unknown): OrderFailed {
  return new OrderFailed(message, 'CopierUnavailable', { cause });
}
